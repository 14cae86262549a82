"""The table of the versions of routes: rows are added, and never changed."""

from __future__ import annotations

from sqlalchemy import Column, Table

from headgate.storage.rows import Name, Whole, metadata

route_versions = Table(
    "route_versions",
    metadata,
    Column("number", Whole, primary_key=True, autoincrement=False),
    Column("at_us", Whole, nullable=False),
    Column("key_id", Name, nullable=False),
    Column("key_name", Name, nullable=False),
    Column("what", Name, nullable=False),
    Column("overlay", Name, nullable=False),
)
"""`overlay` is JSON: name → the route as it was written, or null where the settings' own is removed."""
