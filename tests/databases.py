"""A database of its own for each test that asks, on every kind that answers; gone when the test ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

import headgate.access.tables
import headgate.ledger.tables
import headgate.routing.changes.tables
import headgate.routing.tables  # noqa: F401
from headgate.storage.rows import metadata
from headgate.storage.session import Database
from headgate.types import Secret
from tests.needs import needs_postgres


@pytest.fixture(params=["sqlite", "postgresql"])
async def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Secret]:
    """The URL of a database without tables."""
    if request.param == "sqlite":
        yield Secret(f"sqlite+aiosqlite:///{tmp_path}/headgate.db")
        return
    server = needs_postgres()
    name = f"headgate_test_{uuid4().hex}"
    owner = await asyncpg.connect(server)
    try:
        await owner.execute(f"CREATE DATABASE {name}")
        yield Secret(server.replace("postgresql://", "postgresql+asyncpg://").rpartition("/")[0] + f"/{name}")
    finally:
        await owner.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await owner.close()


@pytest.fixture
async def database(empty_url: Secret) -> AsyncIterator[Database]:
    """A database with every table."""
    database = Database(empty_url)
    async with database.begin() as connection:
        await connection.run_sync(metadata.create_all)
    yield database
    await database.close()


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[Database]:
    """An SQLite database with every table, for what does not depend on the kind."""
    database = Database(Secret(f"sqlite+aiosqlite:///{tmp_path}/headgate.db"))
    async with database.begin() as connection:
        await connection.run_sync(metadata.create_all)
    yield database
    await database.close()
