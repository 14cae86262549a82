"""News between processes, with and without Redis; a Redis that freezes or dies holds nobody up."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from time import monotonic
from uuid import uuid4

import pytest

from headgate.errors import StorageUnavailable
from headgate.storage import redis as redis_file
from headgate.storage.bus import Bus, LocalBus
from headgate.storage.redis import RedisBus
from headgate.types import Secret
from tests.needs import needs_binary, needs_redis


async def until(condition: Callable[[], bool]) -> None:
    """Waits for what has no event of its own, five seconds at most."""
    async with asyncio.timeout(5):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


class Ear:
    """Counts what it hears."""

    def __init__(self) -> None:
        self.times = 0
        self._heard = asyncio.Event()

    async def __call__(self) -> None:
        self.times += 1
        self._heard.set()

    async def hears(self) -> None:
        async with asyncio.timeout(5):
            await self._heard.wait()
        self._heard.clear()


async def ready(bus: RedisBus) -> RedisBus:
    await bus.start()
    async with asyncio.timeout(5):
        await bus.ready.wait()
    return bus


@pytest.fixture
def channel() -> str:
    return f"headgate-test:{uuid4().hex}"


@pytest.fixture(params=["local", "redis"])
async def bus(request: pytest.FixtureRequest, channel: str) -> AsyncIterator[Bus]:
    bus = LocalBus() if request.param == "local" else await ready(RedisBus(Secret(needs_redis()), channel))
    yield bus
    await bus.stop()


async def test_the_own_process_hears_what_it_publishes(bus: Bus) -> None:
    keys, models = Ear(), Ear()
    await bus.subscribe("keys", keys)
    await bus.subscribe("models", models)
    await bus.publish("keys")
    await keys.hears()
    assert models.times == 0


async def test_other_processes_hear_what_one_publishes(channel: str) -> None:
    one, other = [await ready(RedisBus(Secret(needs_redis()), channel)) for _ in range(2)]
    ear = Ear()
    await other.subscribe("keys", ear)
    await one.publish("keys")
    await ear.hears()
    await one.check()
    await one.stop()
    await other.stop()


class Server:
    """A Redis of its own, to be frozen and killed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.url = Secret(f"redis://127.0.0.1:{self._port}/0")
        self.start()

    def start(self) -> None:
        program = needs_binary("redis-server")
        words = ["--port", str(self._port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._folder)]
        self.process = subprocess.Popen([program, *words], stdout=subprocess.DEVNULL)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_file, "AGAIN_S", 0.05)
    monkeypatch.setattr(redis_file, "QUIET_S", 0.2)


@pytest.mark.usefixtures("hasty")
async def test_a_redis_that_dies_is_said_once_and_found_again(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    bus, other, ear = await ready(RedisBus(server.url)), RedisBus(server.url), Ear()
    await bus.subscribe("keys", ear)
    caplog.clear()
    server.stop()
    await until(lambda: not bus.ready.is_set())
    await bus.publish("keys")
    with pytest.raises(StorageUnavailable):
        await bus.check()
    server.start()
    async with asyncio.timeout(10):
        await bus.ready.wait()
    await other.publish("keys")
    await until(lambda: ear.times == 2)
    await bus.stop()
    await other.stop()
    assert [line.message.partition(",")[0] for line in caplog.records] == ["Redis is away", "Redis is back"]


@pytest.mark.usefixtures("hasty")
async def test_a_frozen_redis_takes_a_tenth_of_a_second_and_is_noticed(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    bus = await ready(RedisBus(server.url))
    caplog.clear()
    server.process.send_signal(signal.SIGSTOP)
    began = monotonic()
    await bus.publish("keys")
    assert monotonic() - began < 1
    await until(lambda: not bus.ready.is_set())
    server.process.send_signal(signal.SIGCONT)
    async with asyncio.timeout(10):
        await bus.ready.wait()
    await bus.publish("keys")
    await bus.check()
    await bus.stop()
