"""The database's door: units of work, and errors of our own family only."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, text

from headgate.access.tables import keys
from headgate.errors import ConfigError, StorageRefused, StorageUnavailable
from headgate.storage import session
from headgate.storage.session import Database
from headgate.types import Secret


async def add(database: Database, *names: str, then: Exception | None = None) -> None:
    """One unit of work that makes rows, and fails at its end where `then` says so."""
    async with database.begin() as connection:
        for name in names:
            facts = {"id": name, "name": name, "role": "caller", "digest": name.encode(), "prefix": "hg-"}
            await connection.execute(insert(keys).values(**facts, created_us=1, version=1))
        if then:
            raise then


async def count(database: Database) -> int:
    async with database.read() as connection:
        return int((await connection.execute(select(func.count()).select_from(keys))).scalar_one())


async def test_a_unit_of_work_is_kept_whole(database: Database) -> None:
    await add(database, "a", "b")
    assert await count(database) == 2


async def test_a_unit_of_work_that_fails_leaves_nothing(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        await add(database, "a", then=ZeroDivisionError())
    assert await count(database) == 0


async def test_a_reader_does_not_wait_for_a_writer(database: Database) -> None:
    await add(database, "a")
    async with database.begin() as connection:
        await connection.execute(text("DELETE FROM keys"))
        async with asyncio.timeout(2):
            assert await count(database) == 1


async def test_units_of_one_name_follow_each_other(database: Database) -> None:
    inside = 0

    async def unit() -> None:
        nonlocal inside
        async with database.begin(alone="test") as connection:
            inside += 1
            assert inside == 1
            await connection.execute(text("SELECT 1"))
            await asyncio.sleep(0.01)
            inside -= 1

    await asyncio.gather(*(unit() for _ in range(4)))


async def test_a_row_that_breaks_a_rule_is_refused_without_its_values(database: Database) -> None:
    with pytest.raises(StorageRefused) as refused:
        await add(database, "canary", "canary")
    assert "canary" not in refused.value.message


async def test_a_statement_that_fails_is_our_error(database: Database) -> None:
    with pytest.raises(StorageUnavailable):
        async with database.read() as connection:
            await connection.execute(text("SELECT * FROM nowhere"))


async def test_check_says_how_long_an_answer_takes(database: Database) -> None:
    assert 0 < await database.check() < 5


async def test_a_server_that_is_not_there_is_said_without_its_password() -> None:
    database = Database(Secret("postgresql+asyncpg://user:canary@127.0.0.1:9/nothing"))
    with pytest.raises(StorageUnavailable) as away:
        await database.check()
    assert "canary" not in away.value.message
    await database.close()


async def test_a_server_that_never_answers_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "CONNECT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        database = Database(
            Secret(f"postgresql+asyncpg://user@127.0.0.1:{silent.getsockname()[1]}/nothing?ssl=disable")
        )
        async with asyncio.timeout(5):
            with pytest.raises(StorageUnavailable):
                await database.check()
        await database.close()


@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
async def test_connections_that_the_server_cut_are_replaced(empty_url: Secret) -> None:
    database, other = Database(empty_url), Database(empty_url)
    await database.check()
    async with other.begin() as connection:
        await connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = :n"
            ),
            {"n": empty_url.reveal().rpartition("/")[2]},
        )
    await database.check()
    await database.close()
    await other.close()


async def test_a_locked_file_is_unavailable_and_then_serves_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "LOCK_S", 0.05)
    database = Database(Secret(f"sqlite+aiosqlite:///{tmp_path}/locked.db"))
    await database.check()
    holder = sqlite3.connect(tmp_path / "locked.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageUnavailable, match="locked"):
        async with database.begin():
            pass
    holder.close()
    async with database.begin() as connection:
        await connection.execute(text("CREATE TABLE written (one INTEGER)"))
    await database.close()


async def test_a_file_that_may_only_be_read_is_unavailable_for_writing(tmp_path: Path) -> None:
    writer = Database(Secret(f"sqlite+aiosqlite:///{tmp_path}/read.db"))
    await writer.check()
    reader = Database(Secret(f"sqlite+aiosqlite:///file:{tmp_path}/read.db?mode=ro&uri=true"))
    await reader.check()
    with pytest.raises(StorageUnavailable, match="readonly"):
        async with reader.begin() as connection:
            await connection.execute(text("CREATE TABLE written (one INTEGER)"))
    await reader.close()
    await writer.close()


async def test_sqlite_is_tuned_for_one_writer_and_many_readers(sqlite: Database) -> None:
    async with sqlite.read() as connection:
        found = [
            (await connection.execute(text(f"PRAGMA {name}"))).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    assert found == ["wal", 1, 1, 5000]


@pytest.mark.parametrize("url", ["mysql://u:canary@h/d", "sqlite:///canary.db", "canary", ""])
def test_a_url_without_a_driver_is_refused_unseen(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Database(Secret(url))
    assert "canary" not in refused.value.message
