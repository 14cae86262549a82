"""A caller that goes away: the connection closes at once, in every phase, and nothing is left behind."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest

from headgate.upstream.base import Call, Limits, Upstream
from tests.upstream.servers import OK, Peer, post, serving


async def spend(upstream: Upstream, call: Call) -> None:
    async with upstream.open(call) as answer:
        await answer.read()


PHASES = {
    "waiting": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nconte",
    "streaming": OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
}


@pytest.mark.parametrize("phase", PHASES)
async def test_cancelled(upstream: Upstream, phase: str) -> None:
    there = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(PHASES[phase])
        there.set()
        await peer.gone()

    async with serving(script) as server:
        task = asyncio.create_task(spend(upstream, post(server.url(), limits=Limits())))
        await there.wait()
        await asyncio.sleep(0.02)
        began = monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert monotonic() - began < 0.1
        await asyncio.wait_for(server.finish.wait(), 1)


async def test_cancelled_while_connecting(upstream: Upstream) -> None:
    there = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.reader.read(1)
        there.set()
        await peer.gone()

    async with serving(script) as server:
        call = post(server.url(scheme="https"), limits=Limits())
        task = asyncio.create_task(spend(upstream, call))
        await there.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(server.finish.wait(), 1)


async def test_cancelled_while_sending(upstream: Upstream) -> None:
    there = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        there.set()
        await asyncio.sleep(0.05)
        await peer.gone()

    async with serving(script) as server:
        call = post(server.url(), b"x" * 32 * 1024 * 1024, limits=Limits())
        task = asyncio.create_task(spend(upstream, call))
        await there.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(server.finish.wait(), 1)


async def test_an_error_in_the_callers_block_closes_the_connection(upstream: Upstream) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK + b"content-length: 10\r\n\r\nhello")
        await peer.gone()

    async with serving(script) as server:
        with pytest.raises(ZeroDivisionError):
            async with upstream.open(post(server.url())):
                raise ZeroDivisionError
        await asyncio.wait_for(server.finish.wait(), 1)


async def test_many_that_leave_do_not_use_up_the_connections(upstream: Upstream) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.gone()

    async with serving(script) as server:
        tasks = [asyncio.create_task(spend(upstream, post(server.url(), limits=Limits()))) for _ in range(100)]
        await server.until(lambda: server.connections == 100)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.until(lambda: server.finished == 100)
