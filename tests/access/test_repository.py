"""Keys in the database."""

from __future__ import annotations

import asyncio
from typing import get_args

import pytest
from sqlalchemy import select

from headgate.access.keys import digest
from headgate.access.repository import KeyRepository
from headgate.access.tables import keys as table
from headgate.errors import NotFound
from headgate.storage.session import Database
from headgate.types import Role


@pytest.fixture
def keys(database: Database) -> KeyRepository:
    return KeyRepository(database)


@pytest.mark.parametrize("role", get_args(Role))
async def test_a_key_is_found_by_its_digest(keys: KeyRepository, role: Role) -> None:
    key, secret = await keys.create("ci", role)
    assert await keys.find(digest(secret.reveal().encode())) == key
    assert (key.name, key.role, key.revoked_us) == ("ci", role, None)
    assert secret.reveal().startswith(key.prefix)
    assert await keys.find(digest(b"another")) is None


async def test_no_secret_is_in_the_database(keys: KeyRepository, database: Database) -> None:
    _, secret = await keys.create("ci")
    async with database.read() as connection:
        stored = repr((await connection.execute(select(table))).all())
    assert secret.reveal()[12:] not in stored


async def test_lists_hold_revoked_keys_too_oldest_first(keys: KeyRepository) -> None:
    made = [(await keys.create(name))[0] for name in "abc"]
    await keys.revoke(made[1].id)
    assert [(key.name, key.revoked_us is not None) for key in await keys.all()] == [
        ("a", False), ("b", True), ("c", False)
    ]  # fmt: skip


async def test_a_key_is_revoked_by_id_or_by_prefix_and_only_once(keys: KeyRepository) -> None:
    (first, _), (second, _) = await keys.create("a"), await keys.create("b")
    assert (await keys.revoke(first.id)).revoked_us is not None
    revoked = await keys.revoke(second.prefix)
    assert await keys.revoke(second.id) == revoked


@pytest.mark.parametrize("which", ["", "key_0", "hg-", "%", "' OR 1=1 --"])
async def test_nothing_is_revoked_by_a_name_that_no_key_has(keys: KeyRepository, which: str) -> None:
    await keys.create("a")
    with pytest.raises(NotFound):
        await keys.revoke(which)
    assert [key.revoked_us for key in await keys.all()] == [None]


async def test_every_change_is_newer_than_the_one_before(keys: KeyRepository) -> None:
    first, _ = await keys.create("a")
    second, _ = await keys.create("b")
    revoked = await keys.revoke(first.id)
    assert first.version < second.version < revoked.version
    assert [key.id for key in await keys.newer_than(second.version)] == [first.id]
    assert await keys.newer_than(revoked.version) == []


async def test_changes_at_the_same_time_have_different_versions(keys: KeyRepository) -> None:
    made = await asyncio.gather(*(keys.create(f"k{number}") for number in range(8)))
    assert len({key.version for key, _ in made}) == 8


async def test_one_of_many_makes_the_first_key(keys: KeyRepository) -> None:
    made = [pair for pair in await asyncio.gather(*(keys.create_first("first") for _ in range(5))) if pair]
    assert [key.role for key, _ in made] == ["owner"]
    await keys.revoke(made[0][0].id)
    assert await keys.create_first("first") is None
