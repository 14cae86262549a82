"""Databases for these tests, and what the settings say in them."""

from __future__ import annotations

import pytest

from headgate.config.routes import RouteSettings
from headgate.routing.changes.overlay import Written
from headgate.types import DEFAULT
from tests.databases import database, empty_url, sqlite

__all__ = ["database", "empty_url", "sqlite"]


@pytest.fixture
def written() -> Written:
    """Two routes of the settings, the first of which falls back to the second; two providers; an alias."""
    routes = {"short": RouteSettings(("one/short",), context_length="long"), "long": RouteSettings(("two/long",))}
    return Written(routes, {"one": (DEFAULT,), "two": (DEFAULT, "spare")}, ("nick",))
