"""What a call may take, in both clients: times and sizes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from time import monotonic

import pytest

from headgate.errors import UpstreamProtocolError, UpstreamTimeout, UpstreamUnreachable
from headgate.upstream.base import Limits, Upstream
from tests.upstream.servers import OK, SMALL, Peer, answering_once, post, serving

SOON_S = 1.5
"""Every limit of these tests is far below this; without it they would take far longer."""


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port that takes no more connections: its queue is full and nobody accepts."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(8):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


async def test_connecting_into_a_black_hole(upstream: Upstream, black_hole: int) -> None:
    began = monotonic()
    with pytest.raises(UpstreamTimeout, match=r"no connection within 0\.2 s"):
        async with upstream.open(post(f"http://127.0.0.1:{black_hole}/", limits=Limits(connect_s=0.2))):
            pass
    assert 0.15 < monotonic() - began < SOON_S


async def test_a_tls_handshake_without_an_answer(upstream: Upstream) -> None:
    began = monotonic()
    async with serving(Peer.gone) as server:
        with pytest.raises(UpstreamTimeout, match="no connection"):
            async with upstream.open(post(server.url(scheme="https"), limits=Limits(connect_s=0.2))):
                pass
        await asyncio.wait_for(server.finish.wait(), 1)
    assert monotonic() - began < SOON_S


async def test_refused(upstream: Upstream) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(UpstreamUnreachable, match="refused"):
        async with upstream.open(post(f"http://127.0.0.1:{port}/")):
            pass


async def test_a_name_without_an_address(upstream: Upstream) -> None:
    with pytest.raises(UpstreamUnreachable, match=r"no-such-host\.invalid"):
        async with upstream.open(post("http://no-such-host.invalid/", limits=Limits())):
            pass


@pytest.mark.parametrize("begin", [b"", b"HTTP/1.1 200 OK\r\ncontent-"], ids=["silence", "half a head"])
async def test_silence_before_the_answer(upstream: Upstream, begin: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(begin)
        await peer.gone()

    began = monotonic()
    async with serving(script) as server:
        limits = Limits(connect_s=0.1, first_byte_s=0.2)
        with pytest.raises(UpstreamTimeout, match=r"no answer within 0\.2 s"):
            async with upstream.open(post(server.url(), limits=limits)):
                pass
        await asyncio.wait_for(server.finish.wait(), 1)
    assert 0.15 < monotonic() - began < SOON_S


async def test_silence_in_the_middle(upstream: Upstream) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await peer.gone()

    began = monotonic()
    async with serving(script) as server:
        async with upstream.open(post(server.url(), limits=Limits(idle_s=0.2))) as answer:
            chunks = aiter(answer)
            assert await anext(chunks) == b"hello"
            with pytest.raises(UpstreamTimeout, match="in the middle"):
                await anext(chunks)
        await asyncio.wait_for(server.finish.wait(), 1)
    assert 0.15 < monotonic() - began < SOON_S


async def test_one_byte_at_a_time_ends_at_the_total_limit(upstream: Upstream) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK + b"content-length: 1000\r\n\r\n")
        for _ in range(1000):
            await peer.send(b"x")
            await asyncio.sleep(0.02)

    began = monotonic()
    async with serving(script) as server:
        with pytest.raises(UpstreamTimeout, match=r"not finished within 0\.4 s"):
            async with upstream.open(post(server.url(), limits=Limits(total_s=0.4))) as answer:
                await answer.read()
    assert 0.3 < monotonic() - began < SOON_S


async def test_a_server_that_does_not_take_the_request(upstream: Upstream) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await asyncio.Event().wait()

    began = monotonic()
    async with serving(script) as server:
        limits = Limits(connect_s=0.1, first_byte_s=0.2, idle_s=0.2)
        with pytest.raises(UpstreamTimeout):
            async with upstream.open(post(server.url(), b"x" * 32 * 1024 * 1024, limits=limits)):
                pass
    assert monotonic() - began < SOON_S


async def test_a_slow_reader_is_not_the_servers_silence(upstream: Upstream) -> None:
    limits = Limits(idle_s=0.1)
    async with serving(answering_once(SMALL)) as server, upstream.open(post(server.url(), limits=limits)) as answer:
        await asyncio.sleep(0.4)
        assert await answer.read() == b"hello"


@pytest.mark.parametrize(
    "head",
    [
        b"a: b\r\n" * 20_000,
        b"".join(b"a%d: b\r\n" % number for number in range(20_000)),
        b"a: " + b"b" * 100_000 + b"\r\n",
        b"a" * 100_000 + b": b\r\n",
    ],
    ids=["many alike", "many", "long value", "long name"],
)
async def test_too_many_headers(upstream: Upstream, head: bytes) -> None:
    async with serving(answering_once(OK + head + b"content-length: 0\r\n\r\n")) as server:
        with pytest.raises(UpstreamProtocolError):
            async with upstream.open(post(server.url())):
                pass


@pytest.mark.parametrize(
    "begin",
    [b"", b"HTTP/1.1 200 ", OK + b"a: ", OK + b"a", b"HTTP/1.1 102 Processing\r\n\r\n" * 100 + OK + b"a: "],
    ids=["junk", "reason", "value", "name", "interim"],
)
async def test_a_line_without_an_end(upstream: Upstream, begin: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(begin)
        for _ in range(1000):
            await peer.send(b"x" * 4096)
        await asyncio.Event().wait()

    async with serving(script) as server:
        with pytest.raises(UpstreamProtocolError):
            async with upstream.open(post(server.url())):
                pass


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"content-length: 2000\r\n\r\n" + b"x" * 2000,
        OK + b"transfer-encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 2000 + b"0\r\n\r\n",
        OK + b"\r\n" + b"x" * 2000,
    ],
    ids=["length", "chunked", "close"],
)
async def test_too_long_a_body(upstream: Upstream, answer: bytes) -> None:
    async with serving(answering_once(answer)) as server:
        with pytest.raises(UpstreamProtocolError, match="more than 1000 bytes"):
            async with upstream.open(post(server.url(), limits=Limits(body_bytes=1000))) as got:
                await got.read()
