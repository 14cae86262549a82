"""How a process follows the stored catalogue: by the bus, and by polling where the bus is silent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import uuid4

import pytest

from headgate.errors import StorageUnavailable
from headgate.routing import known
from headgate.routing.catalogue import Catalogue
from headgate.routing.known import KnownModels
from headgate.routing.repository import ModelRepository
from headgate.storage.bus import Bus, LocalBus
from headgate.storage.redis import RedisBus
from headgate.storage.session import Database
from headgate.types import Allowed, ModelCard, Secret, Target
from tests.needs import needs_redis

LISTED = ModelCard(id="a/b", provider="openrouter", context_length=10, fetched_us=1)
ELSEWHERE = Target("openrouter", "c/d")


def catalogue() -> Catalogue:
    return Catalogue(["openrouter", "openai"], {}, (), {})


async def until(condition: Callable[[], bool]) -> None:
    """Waits for what has no event of its own, five seconds at most."""
    async with asyncio.timeout(5):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


@pytest.fixture
def models(database: Database) -> ModelRepository:
    return ModelRepository(database)


Start = Callable[[Bus], Awaitable[Catalogue]]


@pytest.fixture
async def follow(models: ModelRepository) -> AsyncIterator[Start]:
    """Starts a process's catalogue behind a bus."""
    started: list[KnownModels] = []

    async def start(bus: Bus) -> Catalogue:
        followed = catalogue()
        started.append(KnownModels(followed, models, bus))
        await started[-1].start()
        return followed

    yield start
    for each in started:
        await each.stop()


async def test_a_start_loads_what_there_is(models: ModelRepository, follow: Start) -> None:
    await models.keep_list("openrouter", [LISTED])
    await models.set_whitelist([Allowed("a/b", "a")])
    followed = await follow(LocalBus())
    assert followed.known("a/b") == (Target("openrouter", "a/b"),)
    assert not followed.whitelist.allows("c/d", ELSEWHERE)


async def test_a_whitelist_that_was_never_set_allows_everything(follow: Start) -> None:
    assert (await follow(LocalBus())).whitelist.allows("c/d", ELSEWHERE)


@pytest.mark.parametrize("topic", ["models", "whitelist"])
async def test_the_own_process_has_taken_a_change_in_when_it_was_told(
    models: ModelRepository, follow: Start, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "POLL_S", 3600)
    bus = LocalBus()
    followed = await follow(bus)
    await models.keep_list("openrouter", [LISTED])
    await models.set_whitelist([])
    await bus.publish(topic)
    assert followed.known("a/b")
    assert not followed.whitelist.allows("c/d", ELSEWHERE)


@pytest.fixture
async def buses() -> AsyncIterator[tuple[RedisBus, RedisBus]]:
    """Two that share nothing but Redis and the channel of kept answers."""
    one, other = (RedisBus(Secret(needs_redis()), f"headgate-test:{uuid4().hex}") for _ in range(2))
    for bus in (one, other):
        await bus.start()
        async with asyncio.timeout(5):
            await bus.ready.wait()
    yield one, other
    for bus in (one, other):
        await bus.stop()


async def test_other_processes_hear_of_a_change_through_redis(
    models: ModelRepository, follow: Start, buses: tuple[RedisBus, RedisBus], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "POLL_S", 3600)
    followed = await follow(buses[1])
    await models.set_whitelist([])
    await buses[0].publish("whitelist")
    await until(lambda: not followed.whitelist.allows("c/d", ELSEWHERE))


async def test_a_change_that_nobody_told_is_found_by_polling(
    models: ModelRepository, follow: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "POLL_S", 0.01)
    followed = await follow(LocalBus())
    await models.keep_list("openrouter", [LISTED])
    await until(lambda: bool(followed.known("a/b")))


async def test_what_did_not_change_is_not_loaded_again(models: ModelRepository, follow: Start) -> None:
    bus = LocalBus()
    followed = await follow(bus)
    await models.keep_list("openrouter", [LISTED])
    await bus.publish("models")
    revision = followed.revision
    await bus.publish("models")
    assert followed.revision == revision


async def test_a_database_that_is_away_is_said_once_and_its_return_too(
    models: ModelRepository, follow: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(known, "POLL_S", 0.01)
    followed = await follow(LocalBus())
    there = models.versions
    asked = 0

    async def away() -> dict[str, int]:
        nonlocal asked
        asked += 1
        raise StorageUnavailable("away")

    with caplog.at_level(logging.WARNING, "headgate.routing.known"):
        monkeypatch.setattr(models, "versions", away)
        await until(lambda: asked > 3)
        monkeypatch.setattr(models, "versions", there)
        await models.keep_list("openrouter", [LISTED])
        await until(lambda: bool(followed.known("a/b")))
        await until(lambda: "again" in caplog.text)
    assert [record.message for record in caplog.records] == [
        "models are served from memory for now: away",
        "models are followed in the database again",
    ]
