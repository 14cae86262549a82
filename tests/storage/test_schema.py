"""The schema's version: forwards, backwards, once, and never needlessly."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection

from headgate.errors import ConfigError
from headgate.storage.rows import metadata
from headgate.storage.schema import current, downgrade, migrate, revisions, upgrade
from headgate.storage.session import Database
from headgate.types import Secret


async def tables(url: Secret) -> set[str]:
    database = Database(url)
    async with database.read() as connection:
        names = await connection.run_sync(lambda plain: set(inspect(plain).get_table_names()))
    await database.close()
    return names - {"alembic_version"}


async def test_the_schema_goes_up_down_and_up_again(empty_url: Secret) -> None:
    assert await current(empty_url) is None
    await upgrade(empty_url)
    assert await current(empty_url) == revisions()[-1]
    assert await tables(empty_url) == set(metadata.tables)
    await downgrade(empty_url, "base")
    assert await current(empty_url) is None
    assert await tables(empty_url) == set()
    await upgrade(empty_url, revisions()[0])
    assert await current(empty_url) == revisions()[0]


async def test_migrations_make_the_tables_that_the_rooms_declare(empty_url: Secret) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata))

    await migrate(empty_url)
    database = Database(empty_url)
    async with database.read() as connection:
        assert await connection.run_sync(differences) == []
    await database.close()


async def test_a_database_that_is_newer_than_the_program_is_refused(empty_url: Secret) -> None:
    await migrate(empty_url)
    database = Database(empty_url)
    async with database.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await database.close()
    with pytest.raises(ConfigError, match="9999, which is newer"):
        await migrate(empty_url)
    assert await tables(empty_url) == set(metadata.tables)


async def test_a_revision_that_nobody_wrote_is_refused(empty_url: Secret) -> None:
    with pytest.raises(ConfigError, match="no revision '0815'"):
        await upgrade(empty_url, "0815")


START = """
import asyncio, sys
from headgate.storage.schema import migrate
from headgate.types import Secret
asyncio.run(migrate(Secret(sys.stdin.read())))
print("alembic" in sys.modules)
"""


async def start(url: Secret) -> str:
    """Another process that starts on this database; says whether it had to load Alembic."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", START, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate(url.reveal().encode())
    assert process.returncode == 0
    return said.decode().strip()


async def test_processes_that_start_together_make_one_schema(empty_url: Secret) -> None:
    await asyncio.gather(start(empty_url), start(empty_url))
    assert await current(empty_url) == revisions()[-1]


async def test_a_start_that_finds_its_schema_does_not_load_alembic(tmp_path: Path) -> None:
    url = Secret(f"sqlite+aiosqlite:///{tmp_path}/there.db")
    assert await start(url) == "True"
    assert await start(url) == "False"
