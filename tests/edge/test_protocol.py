"""HTTP as the server reads and writes it, byte by byte on a socket: framing, limits, and what is refused."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import pytest
import uvicorn
from uvicorn.server import ServerState

from headgate.edge.protocol import Protocol
from headgate.edge.reply import Message, Receive, Scope, Send
from headgate.outbox import Outbox
from headgate.testing.gateway import RunningGateway, running
from tests.usage import row_where

LIVE = b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n"
OK = b'{"status":"ok"}'
SETTINGS = "server: {request_s: 1, idle_s: 2, write_s: 1, connections: 20, body_limit: 1MiB}"
END_S = 10.0


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway that is patient for a second only."""
    with running(tmp_path_factory.mktemp("strict"), {}, SETTINGS) as started:
        yield started


class Line:
    """A client that says bytes and hears bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        with suppress(ConnectionError):
            await self.writer.drain()

    async def hear(self, end: bytes) -> bytes:
        """All bytes up to and with these."""
        async with asyncio.timeout(END_S):
            return await self.reader.readuntil(end)

    async def rest(self) -> bytes:
        """All bytes until the server closes."""
        heard = b""
        async with asyncio.timeout(END_S):
            with suppress(ConnectionError):
                while more := await self.reader.read(65536):
                    heard += more
        return heard


@asynccontextmanager
async def line(gateway: RunningGateway, limit: int = 2**20) -> AsyncIterator[Line]:
    port = int(gateway.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=limit)
    try:
        yield Line(reader, writer)
    finally:
        writer.close()


def echo(gateway: RunningGateway, said: str = "hello", headers: str = "", **fields: object) -> bytes:
    """A chat completion of the provider that needs no network."""
    body = json.dumps({"model": "echo", "messages": [{"role": "user", "content": said}], **fields})
    return (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {gateway.key}\r\n"
        f"{headers}content-length: {len(body)}\r\n\r\n{body}"
    ).encode()


async def test_a_whole_answer_arrives_in_one_piece(gateway: RunningGateway) -> None:
    async with line(gateway) as client:
        await client.say(LIVE)
        async with asyncio.timeout(END_S):
            first = await client.reader.read(65536)
    assert first.startswith(b"HTTP/1.1 200 OK\r\n")
    assert first.endswith(OK)


async def test_requests_that_come_together_are_answered_in_order(gateway: RunningGateway) -> None:
    async with line(gateway) as client:
        await client.say(
            echo(gateway, "one")
            + LIVE
            + echo(gateway, "two")
            + b"GET /nowhere HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        )
        heard = await client.rest()
    places = [heard.index(mark) for mark in (b"one", OK, b"two", b"404")]
    assert places == sorted(places)
    assert heard.count(b"HTTP/1.1 ") == 4


@pytest.mark.parametrize("size", [1, 2, 7])
async def test_a_request_may_come_in_pieces(gateway: RunningGateway, size: int) -> None:
    said = echo(gateway, "in pieces", "connection: close\r\n")
    async with line(gateway) as client:
        for start in range(0, len(said), size):
            client.writer.write(said[start : start + size])
            await asyncio.sleep(0)
        assert b"in pieces" in await client.rest()


async def test_a_chunked_request_is_read(gateway: RunningGateway) -> None:
    head, _, body = echo(gateway, "chunked").partition(b"\r\n\r\n")
    head = re.sub(rb"content-length: \d+", b"transfer-encoding: chunked\r\nconnection: close", head)
    pieces = b"".join(b"%x\r\n%b\r\n" % (len(body[at : at + 5]), body[at : at + 5]) for at in range(0, len(body), 5))
    async with line(gateway) as client:
        await client.say(head + b"\r\n\r\n" + pieces + b"0\r\n\r\n")
        assert b"chunked" in await client.rest()


async def test_a_body_behind_another_request_may_come_in_pieces(gateway: RunningGateway) -> None:
    said = echo(gateway, "x" * 200_000, "connection: close\r\n")
    async with line(gateway) as client:
        await client.say(echo(gateway, "one") + said[:1000])
        first = await client.hear(b"}}")
        await client.say(said[1000:])
        heard = await client.rest()
    assert b"one" in first
    assert b"x" * 200_000 in heard


async def test_an_answer_on_its_way_is_whole_before_junk_ends_the_connection(gateway: RunningGateway) -> None:
    async with line(gateway) as client:
        await client.say(echo(gateway, "whole", stream=True) + b"\x00\x01 this is not HTTP\r\n\r\n")
        heard = await client.rest()
    assert heard.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert heard.count(b"HTTP/1.1 ") == 1


REFUSED = {
    "another coding behind an upgrade": b"POST /v1/models HTTP/1.1\r\nhost: x\r\n"
    b"connection: Upgrade\r\nupgrade: h2c\r\n"
    b"transfer-encoding: gzip\r\n\r\n0\r\n\r\n",
    "no host": b"GET /health/live HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /health/live HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
    "a host that is none": b"GET /health/live HTTP/1.1\r\nhost: a/b@c\r\n\r\n",
    "length and coding": b"POST /v1/models HTTP/1.1\r\nhost: x\r\n"
    b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST /v1/models HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
    "one length twice": b"POST /v1/models HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ncontent-length: 3\r\n\r\nabc",
    "a length that is none": b"POST /v1/models HTTP/1.1\r\nhost: x\r\ncontent-length: +3\r\n\r\nabc",
    "another coding": b"POST /v1/models HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "two codings": b"POST /v1/models HTTP/1.1\r\nhost: x\r\n"
    b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n",
    "a coding in HTTP/1.0": b"POST /v1/models HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": b"GET /health/live HTTP/1.1\r\nhost : x\r\n\r\n",
    "a folded header": b"GET /health/live HTTP/1.1\r\nhost: x\r\nx-a: b\r\n c\r\n\r\n",
    "a bare line feed": b"GET /health/live HTTP/1.1\nhost: x\n\n",
    "NUL in a header": b"GET /health/live HTTP/1.1\r\nhost: x\r\nx-a: b\0c\r\n\r\n",
    "another version": b"GET /health/live HTTP/2.0\r\nhost: x\r\n\r\n",
    "a tunnel": b"CONNECT example.com:443 HTTP/1.1\r\nhost: example.com\r\n\r\n",
    "a target that is no path": b"GET ? HTTP/1.1\r\nhost: x\r\n\r\n",
    "no HTTP at all": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
}


@pytest.mark.parametrize("said", REFUSED.values(), ids=REFUSED)
async def test_what_two_servers_might_read_differently_is_refused(gateway: RunningGateway, said: bytes) -> None:
    async with line(gateway) as client:
        await client.say(said + LIVE)
        heard = await client.rest()
    assert heard.startswith(b"HTTP/1.1 400 ")
    assert b'"type":"invalid_request_error"' in heard
    assert heard.count(b"HTTP/1.1 ") == 1, "what came behind was answered too"


async def test_a_chunk_that_is_none_is_refused(gateway: RunningGateway) -> None:
    async with line(gateway) as client:
        await client.say(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\n"
            b"transfer-encoding: chunked\r\n\r\n5\r\nabc\r\n0\r\n\r\n" % gateway.key.encode() + LIVE
        )
        heard = await client.rest()
    assert heard.startswith(b"HTTP/1.1 400 ")
    assert heard.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("split", [0, 1, 10])
async def test_an_upgrade_is_passed_over_and_its_body_read(gateway: RunningGateway, split: int) -> None:
    said = echo(gateway, "java", "connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nHTTP2-Settings: AAMA\r\n")
    at = said.index(b"\r\n\r\n") + 4 + split
    async with line(gateway) as client:
        await client.say(said[:at])
        await asyncio.sleep(0.05)
        await client.say(said[at:])
        heard = await client.rest()
    assert heard.startswith(b"HTTP/1.1 200 ")
    assert b"java" in heard


async def test_a_client_of_http_1_0_gets_a_stream_without_chunks(gateway: RunningGateway) -> None:
    async with line(gateway) as client:
        await client.say(echo(gateway, stream=True).replace(b"HTTP/1.1", b"HTTP/1.0", 1))
        heard = await client.rest()
    assert b"transfer-encoding" not in heard
    assert heard.endswith(b"data: [DONE]\n\n")


async def test_a_client_that_waits_for_permission_gets_it(gateway: RunningGateway) -> None:
    said = echo(gateway, "permitted", "expect: 100-continue\r\nconnection: close\r\n")
    at = said.index(b"\r\n\r\n") + 4
    async with line(gateway) as client:
        await client.say(said[:at])
        assert await client.hear(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.say(said[at:])
        assert b"permitted" in await client.rest()


async def test_a_head_has_no_body(gateway: RunningGateway) -> None:
    async with line(gateway) as client:
        await client.say(b"HEAD /health/live HTTP/1.1\r\nhost: x\r\n\r\n" + LIVE)
        head = await client.hear(b"\r\n\r\n")
        again = await client.hear(OK)
    assert b"content-length: 15" in head
    assert again.startswith(b"HTTP/1.1 200")


ENDLESS = {
    "many headers": (b"GET /health/live HTTP/1.1\r\nhost: x\r\n", b"x-a: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n"),
    "one header": (b"GET /health/live HTTP/1.1\r\nhost: x\r\nx-a: ", b"b" * 1000),
    "a target": (b"GET /", b"a" * 1000),
    "a chunk's extension": (
        b"POST /v1/models HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5;",
        b"e" * 1000,
    ),
    "trailers": (
        b"POST /v1/models HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n",
        b"x-a: bbbbbbbbbbbbbbbbbb\r\n",
    ),
}


@pytest.mark.parametrize(("start", "more"), ENDLESS.values(), ids=ENDLESS)
async def test_a_head_without_an_end_is_refused(gateway: RunningGateway, start: bytes, more: bytes) -> None:
    async with line(gateway) as client:
        await client.say(start)
        for _ in range(200_000 // len(more)):
            client.writer.write(more)
        heard = await client.rest()
    assert b"HTTP/1.1 431 " in heard or heard.startswith(b"HTTP/1.1 405 ")
    assert heard.endswith(b"}}")


async def test_a_body_over_the_limit_is_told_so_while_it_comes(strict: RunningGateway) -> None:
    head = echo(strict).partition(b"\r\n\r\n")[0]
    head = re.sub(rb"content-length: \d+", b"transfer-encoding: chunked", head)
    async with line(strict) as client:
        await client.say(head + b"\r\n\r\n")
        for _ in range(200):
            client.writer.write(b"2000\r\n" + b" " * 0x2000 + b"\r\n")
        heard = await client.rest()
    assert heard.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in heard


@pytest.mark.parametrize("part", ["head", "body"])
async def test_a_request_at_a_byte_a_second_is_cut(strict: RunningGateway, part: str) -> None:
    said = echo(strict)
    at = said.index(b"\r\n\r\n") + 6 if part == "body" else 30
    async with line(strict) as client:
        await client.say(said[:at])
        heard = await client.rest()
    assert heard.startswith(b"HTTP/1.1 408 ")


async def test_a_request_that_comes_fast_enough_is_not_cut(strict: RunningGateway) -> None:
    said = echo(strict, "x" * 3000, "connection: close\r\n")
    async with line(strict) as client:
        for start in range(0, len(said), 1000):
            await client.say(said[start : start + 1000])
            await asyncio.sleep(0.6)
        assert b"HTTP/1.1 200 " in await client.rest()


async def test_an_idle_connection_is_closed_without_a_word(strict: RunningGateway) -> None:
    async with line(strict) as client:
        await client.say(LIVE)
        await client.hear(OK)
        assert await client.rest() == b""


async def test_a_reader_that_does_not_read_is_cut_and_billed(strict: RunningGateway) -> None:
    lazy = socket.socket()
    lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    lazy.connect(("127.0.0.1", int(strict.url.rpartition(":")[2])))
    with lazy:
        lazy.sendall(echo(strict, "word " * 150_000, stream=True))
        row = await asyncio.to_thread(row_where, strict, status=499, stream=True)
    assert (row["error"], row["partial"]) == ("client_left", True)
    assert 0 < row["completion_tokens"] < 150_000


async def test_more_clients_than_there_may_be_are_told_so(strict: RunningGateway) -> None:
    port = int(strict.url.rpartition(":")[2])
    clients = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
    try:
        async with line(strict) as late:
            heard = await late.rest()
        assert heard.startswith(b"HTTP/1.1 503 ")
        assert b"too_many_connections" in heard
        clients[0][1].write(LIVE)
        async with asyncio.timeout(END_S):
            assert (await clients[0][0].readuntil(OK)).startswith(b"HTTP/1.1 200 ")
    finally:
        for _, writer in clients:
            writer.close()


class Eager(asyncio.Transport):
    """A transport that refuses what comes after the last word, as a real one does."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.over = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.over, "written after the last word"
        self.written += bytes(data)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.over = True

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0


async def test_nothing_is_said_after_the_last_word(caplog: pytest.LogCaptureFixture) -> None:
    asked: list[Message] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append(await receive())

    server, transport = ServerState(), Eager()
    connection = Protocol(uvicorn.Config(application), server, {})
    connection.connection_made(transport)
    connection.data_received(
        b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ntransfer-encoding: chunked\r\n\r\nZZZ\r\n"
    )
    for _ in range(3):
        await asyncio.sleep(0)
    connection.connection_lost(None)
    assert [message["type"] for message in asked] == ["http.disconnect"]
    assert transport.written.startswith(b"HTTP/1.1 400 ")
    assert caplog.text == ""


async def test_a_flood_on_one_connection_ends_it(gateway: RunningGateway) -> None:
    async with line(gateway) as client:
        await client.say(echo(gateway, "first") + LIVE * 5000)
        heard = await client.rest()
    assert b"first" in heard
    assert heard.count(b"HTTP/1.1 ") == 1


async def test_a_large_request_behind_another_ends_the_connection_after_the_answer(gateway: RunningGateway) -> None:
    async with line(gateway) as client:
        await client.say(echo(gateway, "first") + echo(gateway, "x" * 500_000))
        heard = await client.rest()
    assert b"first" in heard
    assert heard.count(b"HTTP/1.1 ") == 1


async def test_upgrades_that_come_together_are_the_first_ones_end(gateway: RunningGateway) -> None:
    said = echo(gateway, "java", "connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nHTTP2-Settings: AAMA\r\n")
    async with line(gateway) as client:
        await client.say(said + said)
        heard = await client.rest()
    assert heard.startswith(b"HTTP/1.1 200 ")
    assert heard.count(b"HTTP/1.1 ") == 1


async def test_a_flush_that_fails_holds_up_no_other(caplog: pytest.LogCaptureFixture) -> None:
    flushed: list[int] = []
    outbox = Outbox(asyncio.get_running_loop())

    def broken() -> None:
        raise RuntimeError

    outbox.add(broken)
    outbox.add(lambda: flushed.append(1))
    await asyncio.sleep(0)
    assert flushed == [1]
    assert "could not send" in caplog.text


async def test_an_outbox_flushes_all_at_the_end_of_the_round() -> None:
    flushed: list[int] = []
    outbox = Outbox(asyncio.get_running_loop())
    outbox.add(lambda: flushed.append(1))
    outbox.add(lambda: flushed.append(2))
    assert flushed == []
    await asyncio.sleep(0)
    assert flushed == [1, 2]
    outbox.add(lambda: flushed.append(3))
    await asyncio.sleep(0)
    assert flushed == [1, 2, 3]
