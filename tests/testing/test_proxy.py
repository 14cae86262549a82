"""The fault proxy between raw sockets: each fault in each direction, changed while connections are open."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from math import inf
from time import monotonic

import pytest

from headgate.testing import FaultProxy, Way
from headgate.testing.lane import CLEAR, HELD_BYTES
from headgate.testing.sockets import closed_port
from tests.telemetry.waiting import until

LIMIT_S = 10.0
SILENCE_S = 0.1
"""How long nothing must come for it to count as silence; a slow machine makes it longer, never shorter."""
TEXT = bytes(range(256)) * 8

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says everything back; after the client's FIN it says `bye`."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write(b"bye")


@asynccontextmanager
async def server(talk: Talk = echo) -> AsyncIterator[str]:
    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(converse, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    finally:
        listening.close()


@pytest.fixture
async def proxy() -> AsyncIterator[FaultProxy]:
    """A proxy before a server that says everything back."""
    async with server() as url, FaultProxy(url) as proxy:
        yield proxy


@asynccontextmanager
async def client(proxy: FaultProxy) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
    try:
        async with asyncio.timeout(LIMIT_S):
            yield reader, writer
    finally:
        writer.transport.abort()


async def all_of(reader: asyncio.StreamReader) -> tuple[bytes, bool]:
    """What comes until the end, and whether the end was a reset."""
    found = bytearray()
    try:
        while data := await reader.read(65536):
            found += data
    except ConnectionResetError:
        return bytes(found), True
    return bytes(found), False


async def assert_silent(reader: asyncio.StreamReader) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), SILENCE_S)


async def test_bytes_and_ends_pass_and_are_counted(proxy: FaultProxy) -> None:
    async with client(proxy) as (reader, writer):
        writer.write(TEXT)
        assert await reader.readexactly(len(TEXT)) == TEXT
        writer.write_eof()
        assert await all_of(reader) == (b"bye", False)
        await proxy.wait_open(0)
    async with client(proxy):
        await proxy.wait_open(1)
    assert (proxy.connections, proxy.bytes_up, proxy.bytes_down) == (2, len(TEXT), len(TEXT) + 3)
    await proxy.wait_open(0)


async def test_its_url_is_the_upstreams_at_another_place(proxy: FaultProxy) -> None:
    assert proxy.url == f"http://127.0.0.1:{proxy.port}/v1"
    assert proxy.port != proxy.upstream[1]
    assert FaultProxy("https://api.test/v1", host="::1", port=99).url == "https://[::1]:99/v1"
    assert FaultProxy("https://api.test/v1").upstream == ("api.test", 443)


@pytest.mark.parametrize("upstream", ["127.0.0.1:80", "ftp://host/", "http:///v1"])
def test_an_upstream_that_is_no_server_is_refused(upstream: str) -> None:
    with pytest.raises(ValueError, match="no http or https URL"):
        FaultProxy(upstream)


@pytest.mark.parametrize(
    ("field", "number"),
    [
        ("latency_s", -1.0),
        ("jitter_s", -0.1),
        ("after_bytes", -1),
        ("bytes_per_s", 0.0),
        ("slice_bytes", 0),
    ],
)
def test_a_number_out_of_range_is_refused_by_its_name(field: str, number: float) -> None:
    with pytest.raises(ValueError, match=field):
        Way(**{field: number})


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_latency_delays_each_byte_but_bounds_no_rate(proxy: FaultProxy, direction: str) -> None:
    setattr(proxy, direction, Way(latency_s=0.1))
    async with client(proxy) as (reader, writer):
        began = monotonic()
        for _ in range(20):
            writer.write(TEXT)
            await asyncio.sleep(0.005)
        await reader.readexactly(20 * len(TEXT))
    assert 0.1 <= monotonic() - began + 0.002 < 2.0, "not a tenth of a second for each of the twenty"


async def test_jitter_goes_both_ways_and_keeps_the_order(proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    luck = 0.0
    monkeypatch.setattr("headgate.testing.lane.random.uniform", lambda least, most: luck)
    proxy.up = Way(latency_s=0.1, jitter_s=0.1)
    waits: dict[float, float] = {}
    async with client(proxy) as (reader, writer):
        for luck in (-1.0, 1.0, -1.0):
            began = monotonic()
            writer.write(b"x")
            await reader.readexactly(1)
            waits[luck] = min(monotonic() - began, waits.get(luck, inf))
        for word, drawn in ((b"late", 1.0), (b"soon", -1.0)):
            luck = drawn
            writer.write(word)
            await asyncio.sleep(0.02)  # so that they are two blocks, the second with the better luck
        assert await reader.readexactly(8) == b"latesoon"
    assert waits[-1.0] < 0.1 < 0.198 <= waits[1.0]


class Pieces(asyncio.Protocol):
    """Notes what comes, as the socket gives it."""

    def __init__(self, wanted: int) -> None:
        self.found: list[bytes] = []
        self.moments: list[float] = []
        self.enough: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._wanted = wanted

    def data_received(self, data: bytes) -> None:
        self.found.append(data)
        self.moments.append(monotonic())
        if sum(map(len, self.found)) >= self._wanted and not self.enough.done():
            self.enough.set_result(None)


async def pieces(proxy: FaultProxy, sent: bytes) -> Pieces:
    """How the echo of these bytes comes back."""
    transport, seen = await asyncio.get_running_loop().create_connection(
        lambda: Pieces(len(sent)), proxy.host, proxy.port
    )
    transport.write(sent)
    await asyncio.wait_for(seen.enough, LIMIT_S)
    transport.abort()
    assert b"".join(seen.found) == sent
    return seen


async def test_slices_come_one_by_one(proxy: FaultProxy) -> None:
    whole = await pieces(proxy, TEXT[:300])
    assert len(whole.found) == 1
    proxy.down = Way(slice_bytes=3)
    assert len((await pieces(proxy, TEXT[:300])).found) > 50


async def test_bytes_come_at_the_bound_rate(proxy: FaultProxy) -> None:
    proxy.down = Way(bytes_per_s=200)
    dripped = await pieces(proxy, TEXT[:60])
    assert dripped.moments[-1] - dripped.moments[0] > 0.2
    assert len(dripped.found) > 3, "in small pieces, not in one burst after a pause"
    proxy.down, proxy.up = CLEAR, Way(bytes_per_s=20)
    assert {len(piece) for piece in (await pieces(proxy, TEXT[:6])).found} == {1}


async def test_a_change_reaches_what_waits_already(proxy: FaultProxy) -> None:
    proxy.down = Way(bytes_per_s=0.001)
    async with client(proxy) as (reader, writer):
        writer.write(TEXT)
        await reader.readexactly(1)
        await assert_silent(reader)
        proxy.down = Way(latency_s=1000.0)
        await assert_silent(reader)
        proxy.down = CLEAR
        await reader.readexactly(len(TEXT) - 1)


@pytest.mark.parametrize("offset", [0, 1, 7, 2047, 2048])
@pytest.mark.parametrize("direction", ["up", "down"])
async def test_a_reset_breaks_both_ends_after_exactly_so_many_bytes(direction: str, offset: int) -> None:
    heard = bytearray()
    ends: asyncio.Queue[bool] = asyncio.Queue()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(TEXT)
        data, was_reset = await all_of(reader)
        heard.extend(data)
        ends.put_nowait(was_reset)

    async with server(listen) as url, FaultProxy(url) as proxy:
        setattr(proxy, direction, Way(after_bytes=offset, then="reset"))
        async with client(proxy) as (reader, writer):
            writer.write(TEXT)
            told, was_reset = await all_of(reader)
            assert was_reset
            if direction == "down":
                assert told == TEXT[:offset]
            if offset:
                assert await ends.get()
            if direction == "up":
                assert heard == TEXT[:offset]
            assert (proxy.bytes_up if direction == "up" else proxy.bytes_down) == offset
        await proxy.wait_open(0)


async def test_a_reset_now_breaks_what_is_open_and_what_comes(proxy: FaultProxy) -> None:
    async with client(proxy) as (reader, writer):
        writer.write(b"x")
        await reader.readexactly(1)
        proxy.reset()
        assert await all_of(reader) == (b"", True)
    async with client(proxy) as (reader, writer):
        writer.write(b"x")
        await reader.readexactly(1)
        proxy.down = Way(then="reset")
        assert await all_of(reader) == (b"", True)
    async with client(proxy) as (reader, _):
        assert await all_of(reader) == (b"", True)
    await proxy.wait_open(0)


async def test_a_reset_reaches_a_client_that_reads_nothing(proxy: FaultProxy) -> None:
    async with client(proxy) as (reader, writer):
        writer.write(bytes(4 * HELD_BYTES))
        await reader.readexactly(1)
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        proxy.up = Way(then="reset")
        await proxy.wait_open(0)


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_silence_holds_bytes_and_ends_until_it_is_lifted(proxy: FaultProxy, direction: str) -> None:
    setattr(proxy, direction, Way(then="silence"))
    async with client(proxy) as (reader, writer):
        writer.write(TEXT)
        writer.write_eof()
        await assert_silent(reader)
        assert proxy.open == 1
        setattr(proxy, direction, Way(after_bytes=5, then="silence"))
        assert await reader.readexactly(5) == TEXT[:5]
        if direction == "down":
            await assert_silent(reader)
            assert proxy.bytes_down == 5
        setattr(proxy, direction, CLEAR)
        assert await all_of(reader) == (TEXT[5:] + b"bye", False)


async def test_a_half_close_ends_one_direction_and_spares_the_other() -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(TEXT)
        while data := await reader.read(65536):
            heard.put_nowait(data)

    halved = Way(after_bytes=10, then="close")
    async with server(listen) as url, FaultProxy(url, down=halved) as proxy, client(proxy) as (reader, writer):
        assert await all_of(reader) == (TEXT[:10], False)
        for word in (b"still", b"there"):
            writer.write(word)
            assert await heard.get() == word
        writer.write_eof()
        await proxy.wait_open(0)


async def test_a_half_close_upwards_leaves_the_answer_whole(proxy: FaultProxy) -> None:
    proxy.up = Way(after_bytes=4, then="close")
    async with client(proxy) as (reader, writer):
        writer.write(TEXT)
        assert await all_of(reader) == (TEXT[:4] + b"bye", False)


async def test_what_is_not_read_stays_with_its_sender(proxy: FaultProxy) -> None:
    sent = 0

    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.transport.set_write_buffer_limits(high=0)
        for _ in range(64):
            writer.write(bytes(HELD_BYTES))
            await writer.drain()
            sent += HELD_BYTES

    silent = Way(then="silence")
    async with server(flood) as url, FaultProxy(url, down=silent) as flooded, client(flooded) as (reader, _):
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(SILENCE_S)
        assert sent < 64 * HELD_BYTES, "the proxy bounds what it holds"
        flooded.down = CLEAR
        assert len((await all_of(reader))[0]) == 64 * HELD_BYTES


async def test_a_slow_reader_gets_everything_after_both_ends(proxy: FaultProxy) -> None:
    whole = TEXT * 2048
    async with client(proxy) as (reader, writer):
        writer.write(whole)
        writer.write_eof()
        await until(lambda: proxy.bytes_down >= HELD_BYTES)
        assert await all_of(reader) == (whole + b"bye", False)


async def test_a_client_that_leaves_takes_the_servers_connection_with_it(proxy: FaultProxy) -> None:
    async with client(proxy) as (reader, writer):
        writer.write(b"x")
        await reader.readexactly(1)
    await proxy.wait_open(0)


async def test_refused_while_it_lasts_and_taken_again_afterwards(proxy: FaultProxy) -> None:
    async with client(proxy) as (reader, writer):
        writer.write(b"x")
        await reader.readexactly(1)
        async with proxy.refusing():
            assert await all_of(reader) == (b"", True)
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(proxy.host, proxy.port)
    assert len((await pieces(proxy, b"again")).found) == 1


async def test_hanging_takes_nobody_and_spares_who_is_there(proxy: FaultProxy) -> None:
    async with client(proxy) as (reader, writer):
        writer.write(b"x")
        await reader.readexactly(1)
        async with proxy.hanging():
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.open_connection(proxy.host, proxy.port), SILENCE_S)
            writer.write(b"y")
            assert await reader.readexactly(1) == b"y"
    assert len((await pieces(proxy, b"again")).found) == 1


async def test_a_server_that_is_not_there_is_a_reset() -> None:
    with closed_port() as url:
        async with FaultProxy(url) as proxy, client(proxy) as (reader, _):
            assert await all_of(reader) == (b"", True)


async def test_nothing_stays_behind(proxy: FaultProxy) -> None:
    def held() -> int:
        return len(os.listdir("/proc/self/fd"))

    before, tasks = held(), len(asyncio.all_tasks())
    async with server() as url, FaultProxy(url, down=Way(bytes_per_s=1.0)) as other:
        for _ in range(20):
            reader, writer = await asyncio.open_connection(other.host, other.port)
            writer.write(TEXT)
            await reader.readexactly(1)
            writer.transport.abort()
    await until(lambda: held() <= before and len(asyncio.all_tasks()) <= tasks)


def test_the_default_is_clear() -> None:
    assert Way() == CLEAR
    assert (CLEAR.bytes_per_s, CLEAR.then) == (inf, "pass")
