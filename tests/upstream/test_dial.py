"""Addresses: remembered, asked for once, raced, taking turns."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from time import monotonic

import pytest

from headgate.upstream.connection import Connection
from headgate.upstream.dial import STAGGER_S, Addresses, Dialler, taking_turns
from headgate.upstream.request import Place
from tests.upstream.servers import Peer, Server, serving


class Book:
    """A resolver with set answers in the event loop's place."""

    def __init__(self, patch: pytest.MonkeyPatch, *addresses: str) -> None:
        self.addresses = addresses
        self.asked = 0
        patch.setattr(asyncio.get_running_loop(), "getaddrinfo", self.find)

    async def find(self, host: str, port: object, **_: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        self.asked += 1
        await asyncio.sleep(0.01)
        if not self.addresses:
            raise socket.gaierror(-3, "Temporary failure in name resolution")
        return [(socket.AF_INET, 1, 6, "", (address, 0)) for address in self.addresses]


class Known(Addresses):
    """Addresses that need no asking."""

    def __init__(self, *addresses: str) -> None:
        super().__init__()
        self._addresses = list(addresses)

    async def find(self, host: str) -> list[str]:
        return self._addresses


def test_families_take_turns() -> None:
    four, six = socket.AF_INET, socket.AF_INET6
    rows = [(six, "::1"), (six, "::2"), (six, "::1"), (four, "1.1.1.1"), (six, "::3"), (four, "2.2.2.2")]
    assert taking_turns(rows) == ["::1", "1.1.1.1", "::2", "2.2.2.2", "::3"]


async def test_a_name_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    book, addresses = Book(monkeypatch, "127.0.0.1"), Addresses()
    found = await asyncio.gather(*(addresses.find("a.example") for _ in range(10)))
    assert found == [["127.0.0.1"]] * 10
    assert await addresses.find("a.example") == ["127.0.0.1"]
    assert book.asked == 1


async def test_one_that_leaves_does_not_fail_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    Book(monkeypatch, "127.0.0.1")
    addresses = Addresses()
    first, second = (asyncio.create_task(addresses.find("a.example")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == ["127.0.0.1"]


async def test_an_old_answer_is_asked_again_and_outlives_a_failing_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    book, addresses = Book(monkeypatch, "127.0.0.1"), Addresses(remembered_s=0)
    assert await addresses.find("a.example") == ["127.0.0.1"]
    book.addresses = ("127.0.0.2",)
    assert await addresses.find("a.example") == ["127.0.0.2"]
    book.addresses = ()
    assert await addresses.find("a.example") == ["127.0.0.2"]
    assert book.asked == 3


async def test_a_name_never_found_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    book, addresses = Book(monkeypatch), Addresses()
    for _ in range(2):
        with pytest.raises(socket.gaierror):
            await addresses.find("a.example")
    assert book.asked == 2


@pytest.fixture
def full_queue() -> Iterator[socket.socket]:
    """A listening socket on 127.0.0.2 that takes no more connections."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.2", 0), backlog=0))
        for _ in range(8):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener


async def dial(server: Server, *addresses: str) -> Connection:
    place = Place(False, "a.example", server.port)
    return await Dialler(None, Known(*addresses)).dial(place)


async def test_the_next_address_is_tried_when_one_refuses() -> None:
    async with serving(Peer.gone) as server:
        began = monotonic()
        connection = await dial(server, "127.0.0.3", "127.0.0.1")
        assert monotonic() - began < STAGGER_S
        connection.abort()


async def test_the_next_address_starts_beside_a_silent_one(full_queue: socket.socket) -> None:
    async with serving(Peer.gone, port=full_queue.getsockname()[1]) as server:
        began = monotonic()
        async with asyncio.timeout(3):
            connection = await dial(server, "127.0.0.2", "127.0.0.1")
        assert STAGGER_S * 0.9 < monotonic() - began < 1
        connection.abort()


async def test_the_first_failure_is_told_when_all_fail() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    place = Place(False, "a.example", port)
    with pytest.raises(ConnectionRefusedError):
        await Dialler(None, Known("127.0.0.1", "no-such-host.invalid")).dial(place)


async def test_leaving_a_race_closes_what_it_opened() -> None:
    async with serving(Peer.gone) as server:
        dialling = asyncio.create_task(dial(server, "127.0.0.1", "127.0.0.1"))
        await server.until(lambda: server.connections > 0)
        dialling.cancel()
        with suppress(asyncio.CancelledError):
            (await dialling).abort()
        await server.until(lambda: server.finished == server.connections)


async def test_of_two_that_come_about_at_once_one_is_closed() -> None:
    class Together(Dialler):
        async def _single(self, address: str, place: Place) -> Connection:
            connection = await super()._single(address, place)
            await both.wait()
            return connection

    both = asyncio.Event()
    async with serving(Peer.gone) as server:
        place = Place(False, "a.example", server.port)
        dialling = asyncio.create_task(Together(None, Known("127.0.0.1", "127.0.0.1")).dial(place))
        await server.until(lambda: server.connections == 2)
        both.set()
        connection = await dialling
        await server.until(lambda: server.finished == 1)
        assert not connection.closed
        connection.abort()
