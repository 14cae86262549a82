"""The shelf of all processes: on a real Redis, and while that is frozen or dead."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from time import monotonic
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from headgate.cache import shared
from headgate.cache.shared import SharedShelf
from headgate.errors import StorageUnavailable
from headgate.storage import redis as redis_file
from headgate.storage.redis import RedisValues
from headgate.types import Secret
from tests.cache.answers import ROOMY, kept
from tests.needs import needs_redis
from tests.storage.test_bus import Server


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis gets the time that a busy machine needs."""
    monkeypatch.setattr(redis_file, "ANSWER_S", 10.0)


@pytest.fixture
def name() -> str:
    return f"test-{uuid4().hex}"


@pytest.fixture
async def pair(name: str) -> AsyncIterator[tuple[SharedShelf, SharedShelf]]:
    """Two processes' views of one shelf."""
    one, other = (SharedShelf(ROOMY, RedisValues(Secret(needs_redis())), name) for _ in range(2))
    yield one, other
    await one.stop()
    await other.stop()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    server.stop()


@pytest.fixture
async def values(server: Server) -> RedisValues:
    """A Redis of its own, closed with the shelf."""
    values = RedisValues(server.url)
    await until_there(values)
    return values


@pytest.fixture
async def shelf(values: RedisValues) -> AsyncIterator[SharedShelf]:
    shelf = SharedShelf(ROOMY, values, "test")
    yield shelf
    await shelf.stop()


async def until_there(values: RedisValues) -> None:
    """Waits until Redis answers."""
    async with asyncio.timeout(10):
        while True:
            try:
                await values.get("hello")
            except StorageUnavailable:
                await asyncio.sleep(0.01)
            else:
                return


async def test_what_one_keeps_another_finds_unchanged(pair: tuple[SharedShelf, SharedShelf]) -> None:
    one, other = pair
    answer = kept(bytes(range(256)))
    assert await other.get("a") is None
    await one.put("a", answer)
    assert await other.get("a") == answer


async def test_shelves_of_other_names_are_apart(pair: tuple[SharedShelf, SharedShelf]) -> None:
    await pair[0].put("a", kept())
    stranger = SharedShelf(ROOMY, RedisValues(Secret(needs_redis())), f"test-{uuid4().hex}")
    assert await stranger.get("a") is None
    await stranger.stop()


async def test_an_answer_ends_by_itself(pair: tuple[SharedShelf, SharedShelf], name: str) -> None:
    await pair[0].put("a", kept())
    async with Redis.from_url(needs_redis()) as redis:
        assert 0 < await redis.pttl(f"headgate:{name}:answer:a") <= ROOMY.ttl_s * 1000


async def test_an_answer_above_an_eighth_is_not_kept(pair: tuple[SharedShelf, SharedShelf]) -> None:
    await pair[0].put("a", kept(b"x" * (ROOMY.limit + 1)))
    assert await pair[0].get("a") is None


async def test_what_another_version_kept_is_not_there(pair: tuple[SharedShelf, SharedShelf], name: str) -> None:
    await pair[0].put("a", kept())
    async with Redis.from_url(needs_redis()) as redis:
        await redis.set(f"headgate:{name}:answer:a", b"\xc1 no answer", xx=True, keepttl=True)
    assert await pair[0].get("a") is None


async def test_a_claim_holds_for_all_until_it_is_released(pair: tuple[SharedShelf, SharedShelf]) -> None:
    one, other = pair
    assert await one.claim("a", b"first") is None
    assert await other.claim("a", b"second") == b"first"
    await other.release("a", b"second")
    assert await other.claim("a", b"second") == b"first"
    await one.release("a", b"first")
    assert await other.claim("a", b"second") is None


async def test_a_claim_is_renewed_while_its_process_lives_and_ends_with_it(
    pair: tuple[SharedShelf, SharedShelf], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "CLAIM_S", 1.5)
    one, other = pair
    assert await one.claim("a", b"first") is None
    async with Redis.from_url(needs_redis()) as redis, asyncio.timeout(10):
        left_ms = 1500
        while (now_ms := await redis.pttl(f"headgate:{name}:claim:a")) <= left_ms:
            left_ms = now_ms
            await asyncio.sleep(0.02)
    assert await other.claim("a", b"second") == b"first"
    await one.stop()
    async with asyncio.timeout(10):
        while True:
            if await other.claim("a", b"second") is None:
                return
            await asyncio.sleep(0.02)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_file, "AGAIN_S", 0.05)


@pytest.mark.usefixtures("hasty")
async def test_while_redis_is_dead_each_process_keeps_its_own_and_says_so_once(
    server: Server, values: RedisValues, shelf: SharedShelf, caplog: pytest.LogCaptureFixture
) -> None:
    await shelf.put("before", kept())
    caplog.clear()
    server.stop()
    assert await shelf.get("before") is None
    await shelf.put("a", kept(b"own"))
    found = await shelf.get("a")
    assert found is not None
    assert found.body == b"own"
    assert await shelf.claim("b", b"first") is None
    assert await shelf.claim("b", b"second") == b"first"
    await shelf.release("b", b"first")
    assert await shelf.claim("b", b"third") is None
    server.start()
    await until_there(values)
    await shelf.release("b", b"third")
    assert await shelf.claim("b", b"fourth") is None
    await shelf.release("b", b"fourth")
    lines = [line.message.partition(",")[0] for line in caplog.records if line.levelno == logging.WARNING]
    assert lines == ["Redis is away", "Redis is back"]


@pytest.mark.usefixtures("hasty")
async def test_what_was_kept_while_redis_was_away_is_found_when_it_is_back_and_then_by_all(
    server: Server, values: RedisValues, shelf: SharedShelf
) -> None:
    answer = kept(b"own")
    server.stop()
    await shelf.put("a", answer)
    server.start()
    await until_there(values)
    assert await values.get("headgate:test:answer:a") is None
    assert await shelf.get("a") == answer
    assert await values.get("headgate:test:answer:a") is not None


async def test_a_frozen_redis_is_left_alone_after_the_first_wait(
    server: Server, shelf: SharedShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_file, "ANSWER_S", 0.1)
    server.process.send_signal(signal.SIGSTOP)
    began = monotonic()
    await asyncio.gather(*(shelf.get(str(number)) for number in range(100)))
    for number in range(100):
        await shelf.get(str(number))
    waited = monotonic() - began
    server.process.send_signal(signal.SIGCONT)
    assert waited < 10, "two hundred waits of a tenth of a second would be twenty"
