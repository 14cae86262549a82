"""What both clients promise: answers in every framing, whole or in pieces, over kept connections."""

from __future__ import annotations

import asyncio
import gc
import os
from contextlib import suppress

import pytest

from headgate.errors import StreamCut, UpstreamError, UpstreamProtocolError, UpstreamUnreachable
from headgate.upstream.base import Call, Upstream
from tests.upstream.servers import CHUNKED, OK, SMALL, Peer, answering, answering_once, post, serving

FRAMINGS = {
    "length": (SMALL, b"hello"),
    "chunked": (CHUNKED, b"hello world"),
    "close": (OK + b"connection: close\r\n\r\nhello to the end", b"hello to the end"),
    "empty": (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    "interim": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + SMALL, b"hello"),
    "old": (b"HTTP/1.0 200 OK\r\n\r\nhello", b"hello"),
}


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_reads_a_whole_answer(upstream: Upstream, framing: str) -> None:
    answer, body = FRAMINGS[framing]
    async with serving(answering_once(answer)) as server, upstream.open(post(server.url())) as got:
        assert got.status in (200, 204)
        assert await got.read() == body


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_iterates_over_an_answer(upstream: Upstream, framing: str) -> None:
    answer, body = FRAMINGS[framing]
    async with serving(answering_once(answer)) as server, upstream.open(post(server.url())) as got:
        chunks = [chunk async for chunk in got]
    assert b"".join(chunks) == body
    assert all(chunks)


async def test_sends_the_request_as_it_was_given(upstream: Upstream) -> None:
    seen = []

    async def script(peer: Peer) -> None:
        seen.append(await peer.request())
        await peer.send(SMALL)

    async with serving(script) as server:
        call = Call(server.url("/v1/chat?beta=true"), [(b"x-api-key", b"k"), (b"anthropic-beta", b"a,b")], b"body")
        async with upstream.open(call) as answer:
            await answer.read()
    head, _, body = seen[0].lower().partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"post /v1/chat?beta=true http/1.1"
    assert {b"x-api-key: k", b"anthropic-beta: a,b", b"content-length: 4", b"accept-encoding: identity"} <= set(lines)
    assert b"host: 127.0.0.1:%d" % server.port in lines
    assert body == b"body"


async def test_header_names_are_lower_case_and_the_last_of_several_wins(upstream: Upstream) -> None:
    answer = OK + b"X-Request-Id: one\r\nX-REQUEST-ID:  two \r\ncontent-length: 0\r\n\r\n"
    async with serving(answering_once(answer)) as server, upstream.open(post(server.url())) as got:
        assert got.headers[b"x-request-id"] == b"two"


@pytest.mark.parametrize("status", [302, 400, 429, 500, 529])
async def test_every_final_status_is_an_answer(upstream: Upstream, status: int) -> None:
    answer = b"HTTP/1.1 %d x\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 2\r\n\r\nno" % status
    async with serving(answering_once(answer)) as server, upstream.open(post(server.url())) as got:
        assert (got.status, await got.read()) == (status, b"no")


async def test_events_come_as_they_are_sent(upstream: Upstream) -> None:
    read = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK + b"transfer-encoding: chunked\r\n\r\n")
        for _ in range(5):
            read.clear()
            await peer.send(b"9\r\ndata: x\n\n\r\n")
            await read.wait()
        await peer.send(b"0\r\n\r\n")

    async with serving(script) as server, upstream.open(post(server.url())) as answer:
        count = 0
        async for chunk in answer:
            assert chunk == b"data: x\n\n"
            count += 1
            read.set()
    assert count == 5


async def test_keeps_a_connection(upstream: Upstream) -> None:
    async with serving(answering(CHUNKED)) as server:
        for _ in range(20):
            async with upstream.open(post(server.url())) as answer:
                await answer.read()
        assert server.connections < 5


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"connection: close\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        SMALL + SMALL,
        SMALL + b"junk",
    ],
)
async def test_does_not_reuse_a_connection_that_is_not_clean(upstream: Upstream, answer: bytes) -> None:
    async with serving(answering(answer)) as server:
        for _ in range(3):
            async with upstream.open(post(server.url())) as got:
                assert await got.read() == b"hello"
        assert server.connections == 3


async def test_a_connection_that_the_server_closed_is_not_used(upstream: Upstream) -> None:
    async with serving(answering_once(SMALL)) as server:
        for count in range(1, 6):
            async with upstream.open(post(server.url())) as answer:
                assert await answer.read() == b"hello"
            await server.done(count)
            await asyncio.sleep(0.01)
        assert server.connections == 5


async def test_an_answer_left_early_closes_its_connection(upstream: Upstream) -> None:
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK + b"content-length: 10\r\n\r\nhello")
        await peer.gone()
        gone.set()

    async with serving(script) as server:
        async with upstream.open(post(server.url())) as answer:
            async for chunk in answer:
                assert chunk == b"hello"
                break
        async with asyncio.timeout(1):
            await gone.wait()


@pytest.mark.parametrize("answer", [SMALL, CHUNKED], ids=["length", "chunked"])
async def test_a_cut_is_found_at_every_byte(upstream: Upstream, answer: bytes) -> None:
    cuts = iter(range(len(answer)))
    head = answer.index(b"\r\n\r\n") + 4

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer[: next(cuts)])

    async with serving(script) as server:
        for cut in range(len(answer)):
            with pytest.raises(UpstreamUnreachable if cut < head else StreamCut):
                async with upstream.open(post(server.url())) as got:
                    await got.read()
        assert server.connections == len(answer)


@pytest.mark.parametrize("answer", [SMALL, CHUNKED], ids=["length", "chunked"])
async def test_an_answer_split_at_any_byte_is_the_same(upstream: Upstream, answer: bytes) -> None:
    splits = iter(range(1, len(answer)))

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            split = next(splits)
            await peer.send(answer[:split])
            await asyncio.sleep(0.002)
            await peer.send(answer[split:])

    async with serving(script) as server:
        for _ in range(1, len(answer)):
            async with upstream.open(post(server.url())) as got:
                assert await got.read() in (b"hello", b"hello world")
    assert not list(splits)


async def test_a_large_request_and_a_large_answer_arrive_whole(upstream: Upstream) -> None:
    body = bytes(range(256)) * 16 * 1024

    async def script(peer: Peer) -> None:
        head = await peer.reader.readuntil(b"\r\n\r\n")
        assert b"content-length: %d" % len(body) in head
        got = await peer.reader.readexactly(len(body))
        await peer.send(OK + b"content-length: %d\r\n\r\n" % len(got) + got)
        await peer.gone()

    async with serving(script) as server, upstream.open(post(server.url(), body)) as answer:
        assert await answer.read() == body


async def test_an_answer_before_the_request_was_read_is_an_answer(upstream: Upstream) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig")
        await peer.gone()

    async with serving(script) as server, upstream.open(post(server.url(), b"x" * 32 * 1024 * 1024)) as answer:
        assert (answer.status, await answer.read()) == (413, b"big")


async def test_an_answer_may_run_beside_the_request(upstream: Upstream) -> None:
    body = bytes(range(256)) * 16 * 1024

    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.send(OK + b"content-length: %d\r\n\r\n" % len(body))
        for _ in range(0, len(body), 65536):
            await peer.send(await peer.reader.readexactly(65536))
        await peer.gone()

    async with serving(script) as server, upstream.open(post(server.url(), body)) as answer:
        assert await answer.read() == body


async def test_a_slow_reader_stops_the_server(upstream: Upstream) -> None:
    piece, pieces = b"x" * 65536, 1024
    sent = 0
    stalled = asyncio.Event()

    async def script(peer: Peer) -> None:
        nonlocal sent
        await peer.request()
        await peer.send(OK + b"content-length: %d\r\n\r\n" % (len(piece) * pieces))
        for _ in range(pieces):
            peer.writer.write(piece)
            sending = asyncio.create_task(peer.writer.drain())
            if not (await asyncio.wait([sending], timeout=0.3))[0]:
                stalled.set()
            await sending
            sent += len(piece)
        await peer.gone()

    async with serving(script) as server, upstream.open(post(server.url())) as answer:
        got = len(await anext(aiter(answer)))
        await asyncio.wait_for(stalled.wait(), 5)
        assert sent < 16 * 1024 * 1024
        async for chunk in answer:
            got += len(chunk)
    assert got == len(piece) * pieces


@pytest.mark.parametrize(
    "call",
    [
        Call("ftp://127.0.0.1/", []),
        Call("http:///path", []),
        Call("http://a..b/", []),
        Call("http://%s.example/" % ("a" * 64), []),
        Call("127.0.0.1/path", []),
        Call("http://user:secret@127.0.0.1:1/", []),
        Call("http://127.0.0.1:1/a b", []),
        Call("http://127.0.0.1:1/a\r\nx: y", []),
        Call("http://127.0.0.1:99999/", []),
        Call("http://127.0.0.1:1/", [(b"a", b"secret\r\nx: y")]),
        Call("http://127.0.0.1:1/", [(b"a", b"secret\n"), (b"b", b"c")]),
        Call("http://127.0.0.1:1/", [(b"a", b"secret\0")]),
        Call("http://127.0.0.1:1/", [(b"a b", b"c")]),
        Call("http://127.0.0.1:1/", [(b"a:", b"c")]),
        Call("http://127.0.0.1:1/", [(b"", b"c")]),
        Call("http://127.0.0.1:1/", [(b"transfer-encoding", b"chunked")]),
        Call("http://127.0.0.1:1/", [(b"content-length", b"3")]),
        Call("http://127.0.0.1:1/", [(b"host", b"x")]),
        Call("http://127.0.0.1:1/", [], method="HEAD"),
        Call("http://127.0.0.1:1/", [], method="GET / HTTP/1.1\r\nx: y"),
    ],
    ids=repr,
)
async def test_what_cannot_be_sent_is_refused_before_sending(upstream: Upstream, call: Call) -> None:
    with pytest.raises(UpstreamProtocolError) as refused:
        async with upstream.open(call):
            pass
    assert "secret" not in refused.value.message


async def test_a_closed_client_refuses_calls(upstream: Upstream) -> None:
    async with serving(answering(SMALL)) as server:
        await upstream.close()
        with pytest.raises(UpstreamUnreachable, match="closed"):
            async with upstream.open(post(server.url())):
                pass
    assert not server.connections


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def answers() -> int:
    gc.collect()
    return sum(type(thing).__name__ in ("LeanAnswer", "ProxiedAnswer") for thing in gc.get_objects())


async def test_many_calls_leave_nothing_behind(upstream: Upstream) -> None:
    turn = 0

    async def script(peer: Peer) -> None:
        nonlocal turn
        while True:
            await peer.request()
            turn += 1
            await peer.send(SMALL if turn % 10 else SMALL[:-2])
            if not turn % 10:
                return

    async with serving(script) as server:
        async with upstream.open(post(server.url())) as answer:
            await answer.read()
        before = descriptors()
        alive = answers()
        for _ in range(1000):
            with suppress(UpstreamError):
                async with upstream.open(post(server.url())) as answer:
                    await answer.read()
        assert turn == 1001
        await upstream.close()
        await server.until(lambda: descriptors() < before)
    assert answers() <= alive


async def test_many_calls_at_once_do_not_mix_their_answers(upstream: Upstream) -> None:
    async def script(peer: Peer) -> None:
        while True:
            body = (await peer.request()).partition(b"\r\n\r\n")[2]
            await peer.send(OK + b"content-length: %d\r\n\r\n" % len(body) + body)

    async def ask(number: int) -> None:
        body = b"%d" % number * (number % 7 + 1)
        async with upstream.open(post(server.url(), body)) as answer:
            assert await answer.read() == body

    async with serving(script) as server:
        for round_ in range(5):
            await asyncio.gather(*(ask(round_ * 40 + number) for number in range(40)))
        assert server.connections <= 40
