"""The tables of models: the stored catalogue, the whitelist, and the version of either."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, PrimaryKeyConstraint, Table

from headgate.storage.rows import Name, Whole, metadata

models = Table(
    "models",
    metadata,
    Column("provider", Name, nullable=False),
    Column("id", Name, nullable=False),
    Column("name", Name, nullable=False),
    Column("created", Whole, nullable=False),
    Column("context_length", Whole),
    Column("prompt_nano_per_1m", Whole),
    Column("completion_nano_per_1m", Whole),
    Column("kind", Name, nullable=False),
    Column("modality", Name, nullable=False),
    Column("abilities", Name, nullable=False),
    Column("source", Name, nullable=False),
    Column("fetched_us", Whole, nullable=False),
    Column("listed", Boolean, nullable=False),
    PrimaryKeyConstraint("provider", "id", "listed"),
)
"""Prices are nanodollars for a million tokens, null where nobody said. `abilities` are joined by blanks. A
model has one row from its provider's own list (`listed`) and one from the book of prices, where these know it."""

whitelist = Table(
    "whitelist",
    metadata,
    Column("id", Name, nullable=False),
    Column("provider", Name, nullable=False),
    Column("place", Whole, nullable=False),
    PrimaryKeyConstraint("id", "provider"),
)
"""`place` keeps the order in which the rows were given."""

model_changes = Table(
    "model_changes",
    metadata,
    Column("subject", Name, primary_key=True),
    Column("version", Whole, nullable=False),
    Column("changed_us", Whole, nullable=False),
)
"""A row for `models` and one for `whitelist`, each from its first change on: a whitelist without one was never set."""
