"""The table of keys: digests only, never a secret."""

from __future__ import annotations

from sqlalchemy import Column, Index, Table, UniqueConstraint

from headgate.storage.rows import Digest, Name, Whole, metadata

keys = Table(
    "keys",
    metadata,
    Column("id", Name, primary_key=True),
    Column("name", Name, nullable=False),
    Column("role", Name, nullable=False),
    Column("digest", Digest, nullable=False),
    Column("prefix", Name, nullable=False),
    Column("created_us", Whole, nullable=False),
    Column("revoked_us", Whole),
    Column("version", Whole, nullable=False),
    UniqueConstraint("digest"),
    Index(None, "version"),
)
"""`version` grows with every change of any key: readers ask for what is newer than what they have, so that clocks that
jump or differ hide no revocation."""
