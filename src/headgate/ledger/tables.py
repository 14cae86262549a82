"""The table of usage: one row a request, its columns those of `types.Record`."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Table

from headgate.storage.rows import Name, Whole, metadata

usage = Table(
    "usage",
    metadata,
    Column("request_id", Name, primary_key=True),
    Column("at_us", Whole, nullable=False),
    Column("key_id", Name, nullable=False),
    Column("key_name", Name, nullable=False),
    Column("route", Name, nullable=False),
    Column("model_asked", Name, nullable=False),
    Column("model_served", Name, nullable=False),
    Column("provider", Name, nullable=False),
    Column("stream", Boolean, nullable=False),
    Column("attempts", Whole, nullable=False),
    Column("status", Whole, nullable=False),
    Column("error", Name, nullable=False),
    Column("partial", Boolean, nullable=False),
    Column("prompt_tokens", Whole),
    Column("completion_tokens", Whole),
    Column("cached_tokens", Whole),
    Column("cache_written_tokens", Whole),
    Column("reasoning_tokens", Whole),
    Column("cost_nano", Whole),
    Column("estimated", Boolean),
    Column("first_token_us", Whole),
    Column("upstream_us", Whole, nullable=False),
    Column("total_us", Whole, nullable=False),
    Column("session", Name, nullable=False),
    Index(None, "at_us", "request_id"),
    Index(None, "key_id", "at_us"),
    Index(None, "model_served", "at_us"),
)
"""Token counts are null where nobody reported them, `cost_nano` where the price is unknown: null is never zero."""
