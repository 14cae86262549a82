"""The schema's version: read cheaply at every start, changed through Alembic only when it must be."""

from __future__ import annotations

import fcntl
import os
from asyncio import to_thread
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection

import headgate.migrations
from headgate.errors import ConfigError
from headgate.storage.session import Database
from headgate.types import Secret

FOLDER = Path(str(headgate.migrations.__file__)).parent
CHANGE_S = 3600.0
"""How long one schema change may take, or wait for another process that makes it."""


def revisions() -> list[str]:
    """Every revision that this program knows, oldest first: the numbers in the names of `migrations/versions`."""
    return sorted(file.name[1:5] for file in (FOLDER / "versions").glob("v[0-9][0-9][0-9][0-9]_*.py"))


async def migrate(url: Secret) -> None:
    """Brings the database to this program's schema; reads one row where it is there already.

    Raises `ConfigError` for a database that is newer than the program, else as `Database.begin` does.
    """
    found = await current(url)
    if found != revisions()[-1]:
        await upgrade(url)


async def current(url: Secret) -> str | None:
    """The revision that the database is at; None for one without a schema. Raises as `Database.begin` does."""
    database = Database(url)
    try:
        async with database.read() as connection:
            return await connection.run_sync(_version)
    finally:
        await database.close()


async def upgrade(url: Secret, revision: str = "head") -> None:
    """Moves the schema forwards to `revision`, one process at a time. Raises `ConfigError` for a revision that the
    program does not know and for a newer database, else as `Database.begin` does."""
    await _move(url, revision, "upgrade")


async def downgrade(url: Secret, revision: str) -> None:
    """Moves the schema back to `revision` (`base`: no tables); what newer tables held is lost. Raises as `upgrade`."""
    await _move(url, revision, "downgrade")


async def _move(url: Secret, revision: str, direction: str) -> None:
    if revision not in ("head", "base", *revisions()):
        raise ConfigError(f"the schema has no revision {revision!r}; expected one of {', '.join(revisions())}")
    database = Database(url, statement_s=CHANGE_S)
    try:
        async with _file_held(database.file), database.begin(alone="schema") as connection:
            await connection.run_sync(_run_alembic, revision, direction)
    finally:
        await database.close()


def _run_alembic(connection: Connection, revision: str, direction: str) -> None:
    """Imports Alembic here: a start that finds its schema in place must not pay for it."""
    found = _version(connection)
    if found is not None and found not in revisions():
        raise ConfigError(
            f"the database is at schema {found}, which is newer than this program's {revisions()[-1]}: "
            "upgrade headgate, or use the backup made before the newer program was started"
        )
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    getattr(command, direction)(config, revision)


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


@asynccontextmanager
async def _file_held(file: Path | None) -> AsyncIterator[None]:
    """Waits for other processes that change the same SQLite file: its own lock gives up after `LOCK_S`."""
    if file is None:
        yield
        return
    lock = os.open(f"{file}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        await to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
