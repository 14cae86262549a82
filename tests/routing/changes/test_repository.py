"""Versions of the routes in SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import update

from headgate.config.routes import RouteSettings, RouteTarget
from headgate.errors import BadRequest, NotFound, StorageRefused
from headgate.routing.changes.overlay import SETTINGS_ALONE, Overlay
from headgate.routing.changes.repository import RouteVersions
from headgate.routing.changes.tables import route_versions
from headgate.storage.session import Database
from headgate.types import Caller

ANNA = Caller("key_anna", "anna", "owner")
ROUTE = RouteSettings(("one/m", RouteTarget("two", "ä/n", 2.5, 3, "spare")), "sticky", 60.0, "long", "free")


async def test_a_version_is_kept_as_it_was_made(database: Database) -> None:
    versions = RouteVersions(database)
    made = await versions.add(ANNA, "put a", lambda overlay: {**overlay, "a": ROUTE, "b": None})
    assert (made.number, made.key_id, made.key_name, made.what) == (1, "key_anna", "anna", "put a")
    assert made.overlay == {"a": ROUTE, "b": None}
    assert await versions.find(1) == made
    assert await versions.newer_than(0) == made
    assert await versions.newer_than(1) == SETTINGS_ALONE
    assert await versions.find(0) == SETTINGS_ALONE
    with pytest.raises(NotFound):
        await versions.find(2)


async def test_versions_come_newest_first_page_by_page(database: Database) -> None:
    versions = RouteVersions(database)
    for number in range(5):
        await versions.add(ANNA, f"put {number}", lambda overlay, name=str(number): {**overlay, name: ROUTE})
    assert [version.number for version in await versions.page(3, 2**63 - 1)] == [5, 4, 3]
    assert [(version.number, len(version.overlay)) for version in await versions.page(3, 3)] == [(2, 2), (1, 1)]


async def test_changes_at_the_same_time_are_all_kept(database: Database) -> None:
    versions = [RouteVersions(database), RouteVersions(database)]

    async def put(name: str) -> int:
        made = await versions[len(name) % 2].add(ANNA, f"put {name}", lambda overlay: {**overlay, name: ROUTE})
        return made.number

    names = ["x" * length for length in range(1, 9)]
    numbers = await asyncio.gather(*(put(name) for name in names))
    assert sorted(numbers) == list(range(1, 9))
    assert set((await versions[0].newer_than(0)).overlay) == set(names)


async def test_a_change_that_is_refused_leaves_everything_as_it_was(database: Database) -> None:
    def refuse(overlay: Overlay) -> Overlay:
        raise BadRequest("no")

    versions = RouteVersions(database)
    await versions.add(ANNA, "put a", lambda overlay: {"a": ROUTE})
    with pytest.raises(BadRequest):
        await versions.add(ANNA, "put b", refuse)
    assert (await versions.newer_than(0)).number == 1
    assert (await versions.add(ANNA, "put c", lambda overlay: {**overlay, "c": None})).number == 2


async def test_a_version_that_cannot_be_read_is_named(database: Database) -> None:
    versions = RouteVersions(database)
    await versions.add(ANNA, "put a", lambda overlay: {"a": ROUTE})
    async with database.begin() as connection:
        await connection.execute(update(route_versions).values(overlay='{"a": {"colour": "red"}}'))
    with pytest.raises(StorageRefused, match="version 1 of the routes"):
        await versions.newer_than(0)
