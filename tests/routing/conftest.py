"""Databases for this room's tests."""

from tests.databases import database, empty_url, sqlite

__all__ = ["database", "empty_url", "sqlite"]
