"""The versions of routes in the database."""

from __future__ import annotations

from collections.abc import Callable
from time import time_ns

import msgspec
from sqlalchemy import CursorResult, Row, insert, select

from headgate.config.routes import RouteSettings
from headgate.errors import NotFound, StorageRefused
from headgate.routing.changes.overlay import SETTINGS_ALONE, Overlay, Version
from headgate.routing.changes.tables import route_versions
from headgate.storage.session import Database
from headgate.types import Caller

CHANGES = "routes"
"""One change at a time: each is made to what the one before it left."""

_read = msgspec.json.Decoder(dict[str, RouteSettings | None]).decode


class RouteVersions:
    """Adds and lists versions. Raises `StorageUnavailable` when the database does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, caller: Caller, what: str, change: Callable[[Overlay], Overlay]) -> Version:
        """The newest version with a change made to it. What `change` raises leaves everything as it was."""
        async with self._database.begin(CHANGES) as connection:
            newest = _first(
                await connection.execute(select(route_versions).order_by(route_versions.c.number.desc()).limit(1))
            )
            overlay = change(newest.overlay)
            made = Version(newest.number + 1, time_ns() // 1000, caller.key_id, caller.name, what, overlay)
            row = {field: getattr(made, field) for field in Version.__struct_fields__}
            await connection.execute(insert(route_versions).values(row | {"overlay": _text(overlay)}))
            return made

    async def newer_than(self, number: int) -> Version:
        """The newest version, where it is newer than this one; else version 0."""
        async with self._database.read() as connection:
            newer = select(route_versions).where(route_versions.c.number > number)
            return _first(await connection.execute(newer.order_by(route_versions.c.number.desc()).limit(1)))

    async def find(self, number: int) -> Version:
        """Raises `NotFound`."""
        if number == SETTINGS_ALONE.number:
            return SETTINGS_ALONE
        async with self._database.read() as connection:
            row = (await connection.execute(select(route_versions).where(route_versions.c.number == number))).first()
        if row is None:
            raise NotFound(f"the routes have no version {number}", param="version")
        return _version(row)

    async def page(self, limit: int, before: int) -> list[Version]:
        """Versions below a number, newest first; version 0 is not among them."""
        async with self._database.read() as connection:
            older = select(route_versions).where(route_versions.c.number < before)
            rows = await connection.execute(older.order_by(route_versions.c.number.desc()).limit(limit))
            return [_version(row) for row in rows]


def _first(rows: CursorResult[tuple[object, ...]]) -> Version:
    row = rows.first()
    return SETTINGS_ALONE if row is None else _version(row)


def _text(overlay: Overlay) -> str:
    return msgspec.json.encode(overlay).decode()


def _version(row: Row[tuple[object, ...]]) -> Version:
    try:
        overlay = _read(row.overlay)
    except msgspec.MsgspecError as error:
        raise StorageRefused(f"version {row.number} of the routes cannot be read: {error}") from None
    return Version(row.number, row.at_us, row.key_id, row.key_name, row.what, overlay)
