"""Who asks: from memory, from the database for strangers, and never by guessing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from random import Random

import pytest
from sqlalchemy import func, select

from headgate.access import known as known_file
from headgate.access.gate import OPEN, Gate
from headgate.access.keys import Key, digest, mint
from headgate.access.known import TOPIC
from headgate.access.repository import KeyRepository
from headgate.access.tables import keys as table
from headgate.config import Auth
from headgate.errors import KeysUnavailable, NotAllowed, NotAuthenticated, StorageUnavailable
from headgate.storage.bus import LocalBus
from headgate.storage.session import Database
from headgate.types import Caller, Secret


class Watched(KeyRepository):
    """Keys in a real database that can be away or slow, and count their look-ups."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.looks = 0
        self.away = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.reached = asyncio.Semaphore(0)
        self.found = asyncio.Event()
        self.followed = asyncio.Semaphore(0)

    async def find(self, token_digest: bytes) -> Key | None:
        self.looks += 1
        self.reached.release()
        key = None if self.away else await super().find(token_digest)
        self.found.set()
        await self.gate.wait()
        if self.away:
            raise StorageUnavailable("away")
        return key

    async def newer_than(self, version: int) -> list[Key]:
        self.followed.release()
        if self.away:
            raise StorageUnavailable("away")
        return await super().newer_than(version)

    async def follows(self, times: int) -> None:
        """Waits until changes were asked for so often from now on."""
        self.followed = asyncio.Semaphore(0)
        async with asyncio.timeout(5):
            for _ in range(times):
                await self.followed.acquire()


def bearer(secret: Secret) -> bytes:
    return b"Bearer " + secret.reveal().encode()


@pytest.fixture
def keys(sqlite: Database) -> Watched:
    return Watched(sqlite)


@pytest.fixture
def bus() -> LocalBus:
    return LocalBus()


@pytest.fixture
async def gate(keys: Watched, bus: LocalBus) -> AsyncIterator[Gate]:
    auth = Auth(keys=(Secret("first-caller"), Secret("second-caller")), admin_key=Secret("the-admin-key"))
    gate = Gate(auth, keys, bus)
    await gate.start()
    yield gate
    await gate.stop()


async def test_other_keys_from_the_settings_replace_the_old_ones_but_none_of_the_database(
    gate: Gate, keys: Watched
) -> None:
    stored, secret = await keys.create("stored")
    await gate.refresh()
    both = Auth(keys=(secret, Secret("third-caller")), admin_key=Secret("the-admin-key"))
    gate.configure(both)
    assert (await gate.identify(bearer(secret), None)).name == "env-1"
    with pytest.raises(NotAuthenticated):
        await gate.identify(b"Bearer first-caller", None)
    gate.configure(Auth(keys=(Secret("third-caller"),)))
    assert (await gate.identify(bearer(secret), None)).key_id == stored.id
    with pytest.raises(NotAuthenticated):
        await gate.identify(b"Bearer the-admin-key", None)
    await keys.revoke(stored.id)
    await gate.refresh()
    with pytest.raises(NotAuthenticated):
        await gate.identify(bearer(secret), None)


async def test_keys_of_the_settings_are_known(gate: Gate, keys: Watched) -> None:
    caller = await gate.identify(b"Bearer second-caller", None)
    assert (caller.name, caller.role) == ("env-2", "caller")
    assert caller.key_id == f"env:{digest(b'second-caller').hex()[:12]}"
    assert await gate.identify(None, b"the-admin-key") == Caller("env:admin", "admin", "owner")
    assert keys.looks == 0


@pytest.mark.parametrize("scheme", [b"Bearer ", b"bearer ", b"BEARER  "])
async def test_a_stored_key_is_known_from_memory_in_every_carrier(keys: Watched, bus: LocalBus, scheme: bytes) -> None:
    key, secret = await keys.create("ci")
    gate = Gate(Auth(), keys, bus)
    await gate.start()
    token = secret.reveal().encode()
    shown = [(scheme + token, None), (None, token), (scheme + token, token), (b"Bearer ", token), (scheme + token, b"")]
    assert [await gate.identify(*values) for values in shown] == [key.caller] * len(shown)
    assert keys.looks == 0
    await gate.stop()


async def test_two_different_keys_are_refused(gate: Gate) -> None:
    with pytest.raises(NotAuthenticated, match="two different keys"):
        await gate.identify(b"Bearer first-caller", b"second-caller")


HOSTILE = [
    None, b"", b"Bearer", b"Bearer ", b"Basic Zm9vOmJhcg==", b"Bearer \0", b"Bearer \xff\xfe", b"Bearer ' OR 1=1 --",
    b"first-caller", b"Bearer first-caller\0", b"Bearer " + b"a" * 1_000_000, b"a" * 1_000_000, b"Bearer hg-",
    b"Bearer hg-" + b"a" * 43,
]  # fmt: skip


@pytest.mark.parametrize("authorization", HOSTILE)
async def test_what_is_no_key_is_nobody(gate: Gate, authorization: bytes | None) -> None:
    with pytest.raises(NotAuthenticated) as refused:
        await gate.identify(authorization, None)
    assert (b"www-authenticate", b"Bearer") in refused.value.headers


async def test_ten_thousand_hostile_values_ask_no_database_and_change_no_row(
    gate: Gate, keys: Watched, sqlite: Database
) -> None:
    _, secret = await keys.create("ci")
    chance = Random(1)
    refused = 0
    for _ in range(10_000):
        cut = chance.randrange(len(secret.reveal()))
        token = secret.reveal()[:cut].encode() + chance.randbytes(chance.randrange(60)) + b"!"
        try:
            await gate.identify(b"Bearer " + token, None)
        except NotAuthenticated:
            refused += 1
    assert refused == 10_000
    assert keys.looks == 0
    async with sqlite.read() as connection:
        assert (await connection.execute(select(func.count()).select_from(table))).scalar_one() == 1


async def test_a_key_made_elsewhere_is_looked_up_once(gate: Gate, keys: Watched) -> None:
    key, secret = await keys.create("new")
    callers = await asyncio.gather(*(gate.identify(bearer(secret), None) for _ in range(50)))
    assert callers == [key.caller] * 50
    assert await gate.identify(bearer(secret), None) == key.caller
    assert keys.looks == 1


async def test_an_unknown_key_is_not_looked_up_again_for_a_while(gate: Gate, keys: Watched) -> None:
    stranger = bearer(mint())
    for _ in range(5):
        with pytest.raises(NotAuthenticated):
            await gate.identify(stranger, None)
    assert keys.looks == 1


async def test_who_leaves_while_a_key_is_looked_up_does_not_fail_the_others(gate: Gate, keys: Watched) -> None:
    key, secret = await keys.create("new")
    keys.gate.clear()
    first, second = [asyncio.create_task(gate.identify(bearer(secret), None)) for _ in range(2)]
    await keys.reached.acquire()
    first.cancel()
    keys.gate.set()
    assert await second == key.caller
    assert keys.looks == 1


async def test_a_flood_of_strangers_is_told_to_come_again(
    gate: Gate, keys: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_file, "ASKED_AT_ONCE", 3)
    keys.gate.clear()
    asked = [asyncio.create_task(gate.identify(bearer(mint()), None)) for _ in range(10)]
    for _ in range(3):
        await keys.reached.acquire()
    keys.gate.set()
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [NotAuthenticated] * 3 + [KeysUnavailable] * 7


async def test_what_is_remembered_of_strangers_is_bounded(
    gate: Gate, keys: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_file, "UNKNOWN_KEPT", 5)
    first = bearer(mint())
    for stranger in (first, *(bearer(mint()) for _ in range(5)), first):
        with pytest.raises(NotAuthenticated):
            await gate.identify(stranger, None)
    assert keys.looks == 7


async def test_while_the_database_is_away_known_keys_go_on_and_unknown_ones_are_not_called_wrong(
    keys: Watched, bus: LocalBus
) -> None:
    key, secret = await keys.create("ci")
    gate = Gate(Auth(), keys, bus)
    await gate.start()
    keys.away = True
    assert await gate.identify(bearer(secret), None) == key.caller
    stranger = bearer(mint())
    with pytest.raises(KeysUnavailable):
        await gate.identify(stranger, None)
    keys.away = False
    with pytest.raises(NotAuthenticated):
        await gate.identify(stranger, None)
    await gate.stop()


async def test_a_database_that_hangs_is_not_waited_for(
    gate: Gate, keys: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_file, "ASK_S", 0.05)
    keys.gate.clear()
    with pytest.raises(KeysUnavailable):
        await gate.identify(bearer(mint()), None)


async def test_a_revoked_key_is_refused_at_once_where_the_bus_tells(keys: Watched, bus: LocalBus, gate: Gate) -> None:
    key, secret = await keys.create("ci")
    await gate.identify(bearer(secret), None)
    await keys.revoke(key.id)
    await bus.publish(TOPIC)
    with pytest.raises(NotAuthenticated):
        await gate.identify(bearer(secret), None)


async def test_a_revoked_key_is_refused_soon_without_being_told(
    keys: Watched, bus: LocalBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert known_file.POLL_S <= 5
    monkeypatch.setattr(known_file, "POLL_S", 0.01)
    key, secret = await keys.create("ci")
    gate = Gate(Auth(), keys, bus)
    await gate.start()
    keys.away = True
    await keys.revoke(key.id)
    await keys.follows(2)
    assert await gate.identify(bearer(secret), None) == key.caller
    keys.away = False
    await keys.follows(2)
    with pytest.raises(NotAuthenticated):
        await gate.identify(bearer(secret), None)
    await gate.stop()


async def test_a_slow_look_up_does_not_bring_a_revoked_key_back(gate: Gate, keys: Watched) -> None:
    key, secret = await keys.create("ci")
    keys.gate.clear()
    asking = asyncio.create_task(gate.identify(bearer(secret), None))
    await keys.found.wait()
    await keys.revoke(key.id)
    await gate.refresh()
    keys.gate.set()
    for attempt in (asking, gate.identify(bearer(secret), None)):
        with pytest.raises(NotAuthenticated):
            await attempt


async def test_the_settings_stand_above_the_database(keys: Watched, bus: LocalBus) -> None:
    key, secret = await keys.create("ci")
    gate = Gate(Auth(keys=(secret,)), keys, bus)
    await gate.start()
    await keys.revoke(key.id)
    await gate.refresh()
    assert (await gate.identify(bearer(secret), None)).name == "env-1"
    await gate.stop()


async def test_in_the_open_mode_everybody_may_call_but_only_owners_own(keys: Watched, bus: LocalBus) -> None:
    gate = Gate(Auth(mode="open", admin_key=Secret("the-admin-key")), keys, bus)
    await gate.start()
    for values in [(None, None), (b"Bearer anything", None), (bearer(mint()), None), (None, b"anything")]:
        assert await gate.identify(*values) == OPEN
    with pytest.raises(NotAllowed):
        gate.require_owner(OPEN)
    gate.require_owner(await gate.identify(b"Bearer the-admin-key", None))
    await gate.stop()
