"""The lean client's own promises: its pool, its order, its thrift."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest

from headgate.errors import UpstreamError, UpstreamTimeout, UpstreamUnreachable
from headgate.upstream.base import Limits
from headgate.upstream.connection import Connection
from headgate.upstream.dial import Dialler
from headgate.upstream.lean import Lean
from headgate.upstream.pool import Pool
from headgate.upstream.request import Place
from tests.upstream.servers import CHUNKED, OK, SMALL, Peer, answering, post, serving

PATIENT = Limits()


async def spend(client: Lean, url: str, limits: Limits = PATIENT) -> bytes:
    async with client.open(post(url, limits=limits)) as answer:
        return await answer.read()


async def test_one_after_another_needs_one_connection(lean: Lean) -> None:
    async with serving(answering(CHUNKED)) as server:
        for _ in range(50):
            await spend(lean, server.url())
        assert server.connections == 1


async def test_places_do_not_share_connections(lean: Lean) -> None:
    async with serving(answering(SMALL)) as one, serving(answering(SMALL)) as other:
        for _ in range(3):
            await spend(lean, one.url("/a"))
            await spend(lean, other.url("/b"))
            await spend(lean, one.url("/c"))
        assert (one.connections, other.connections) == (1, 1)


async def test_the_last_connection_back_is_the_first_one_out(lean: Lean) -> None:
    used: list[tuple[int, bytes]] = []

    async def script(peer: Peer) -> None:
        me = server.connections
        while True:
            used.append((me, (await peer.request()).partition(b"\r\n\r\n")[2]))
            await peer.send(SMALL)

    async with serving(script) as server:
        async with lean.open(post(server.url(), b"first")), lean.open(post(server.url(), b"second")) as second:
            await second.read()
        await spend(lean, server.url())
        await spend(lean, server.url())
    assert len({connection for connection, _ in used[-2:]}) == 1


async def test_no_more_connections_than_allowed_and_who_waits_is_served_in_order() -> None:
    lean = Lean(connections=2)
    order = []

    async def script(peer: Peer) -> None:
        while True:
            order.append((await peer.request()).partition(b"\r\n\r\n")[2])
            await asyncio.sleep(0.005)
            await peer.send(SMALL)

    async def ask(number: int) -> None:
        async with lean.open(post(server.url(), b"%02d" % number, limits=Limits())) as answer:
            await answer.read()

    async with serving(script) as server:
        await asyncio.gather(*(ask(number) for number in range(20)))
        assert server.connections == 2
    assert order == sorted(order)
    await lean.close()


@pytest.mark.parametrize("answer", [SMALL[:-2], OK + b"connection: close\r\ncontent-length: 0\r\n\r\n"])
async def test_a_lost_connection_lets_the_next_one_in(answer: bytes) -> None:
    lean = Lean(connections=1)

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer)

    async with serving(script) as server:
        results = await asyncio.gather(*(spend(lean, server.url()) for _ in range(5)), return_exceptions=True)
        assert server.connections == 5
    assert all(isinstance(result, bytes | UpstreamError) for result in results)
    await lean.close()


async def test_waiting_in_line_ends_at_the_connect_limit_and_leaves_the_line_whole() -> None:
    lean = Lean(connections=1)
    async with serving(answering(SMALL)) as server:
        async with lean.open(post(server.url())):
            with pytest.raises(UpstreamTimeout, match="no connection"):
                await spend(lean, server.url(), Limits(connect_s=0.05))
            assert not lean.pool("POST", server.url())[0]._waiting
            cancelled = asyncio.create_task(spend(lean, server.url()))
            waiting = asyncio.create_task(spend(lean, server.url()))
            await asyncio.sleep(0)
            cancelled.cancel()
        assert await waiting == b"hello"
        assert await spend(lean, server.url()) == b"hello"
    await lean.close()


async def test_one_cancelled_when_its_turn_comes_passes_it_on() -> None:
    lean = Lean(connections=1)
    async with serving(answering(SMALL)) as server:
        async with lean.open(post(server.url())) as answer:
            await answer.read()
            cancelled = asyncio.create_task(spend(lean, server.url()))
            waiting = asyncio.create_task(spend(lean, server.url()))
            await asyncio.sleep(0)
        cancelled.cancel()
        async with asyncio.timeout(2):
            assert await waiting == b"hello"
        assert server.connections == 1
    await lean.close()


async def test_no_more_idle_connections_than_allowed() -> None:
    lean = Lean(idle=2)
    async with serving(answering(SMALL)) as server:
        await asyncio.gather(*(spend(lean, server.url()) for _ in range(6)))
        await server.until(lambda: server.finished == server.connections - 2)
    await lean.close()


async def test_an_idle_connection_is_closed_in_time() -> None:
    lean = Lean(idle_s=0.1)
    began = monotonic()
    async with serving(answering(SMALL)) as server:
        await spend(lean, server.url())
        await asyncio.wait_for(server.finish.wait(), 2)
    assert monotonic() - began > 0.09
    await lean.close()


async def test_a_connection_is_kept_no_longer_than_the_server_says(lean: Lean) -> None:
    answer = OK + b"keep-alive: timeout=1\r\ncontent-length: 0\r\n\r\n"
    async with serving(answering(answer)) as server:
        await spend(lean, server.url())
        await spend(lean, server.url())
        assert server.connections == 2


async def test_closing_closes_idle_connections_and_lets_open_ones_end(lean: Lean) -> None:
    async with serving(answering(SMALL)) as server:
        await spend(lean, server.url())
        async with lean.open(post(server.url())) as answer:
            await spend(lean, server.url())
            await lean.close()
            assert await answer.read() == b"hello"
        await server.until(lambda: server.finished == 2)


async def test_bytes_on_an_idle_connection_end_it(lean: Lean) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(SMALL)
        await asyncio.sleep(0.01)
        await peer.send(OK + b"content-length: 6\r\n\r\npoison")
        await peer.gone()

    async with serving(script) as server:
        for count in range(1, 4):
            assert await spend(lean, server.url()) == b"hello"
            await server.done(count)
        assert server.connections == 3


async def test_bytes_that_wait_unseen_on_an_idle_connection_are_no_answer(lean: Lean) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(SMALL)
        peers.append(peer)
        await peer.gone()

    peers: list[Peer] = []
    async with serving(script) as server:
        assert await spend(lean, server.url()) == b"hello"
        await server.until(lambda: len(peers) == 1)
        peers[0].writer.write(OK + b"content-length: 6\r\n\r\npoison")
        assert await spend(lean, server.url()) == b"hello"
        assert server.connections == 2


async def test_a_complete_answer_is_the_readers_for_as_long_as_it_likes(lean: Lean) -> None:
    async with serving(answering(SMALL)) as server:
        for _ in range(2):
            async with lean.open(post(server.url(), limits=Limits(total_s=0.1))) as answer:
                await asyncio.sleep(0.4)
                assert await answer.read() == b"hello"
        assert server.connections == 1


async def test_an_early_answer_to_a_half_sent_request_spoils_the_connection(lean: Lean) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig")
        await peer.gone()

    async with serving(script) as server:
        for _ in range(2):
            async with lean.open(post(server.url(), b"x" * 32 * 1024 * 1024)) as answer:
                assert await answer.read() == b"big"
        assert server.connections == 2


async def test_a_new_connection_that_speaks_first_is_not_used() -> None:
    class Late(Dialler):
        async def dial(self, place: Place) -> Connection:
            connection = await super().dial(place)
            await server.until(lambda: connection.closed)
            return connection

    async def script(peer: Peer) -> None:
        await peer.send(OK + b"content-length: 6\r\n\r\npoison")
        await peer.gone()

    async with serving(script) as server:
        pool = Pool(Place(False, "127.0.0.1", server.port), Late(None), connections=1, idle=1)
        for _ in range(2):
            with pytest.raises(UpstreamUnreachable, match="spoke, before a request"):
                await pool.connect(1)
