"""Streams of a provider that a byte-wise script plays: late ends that are whole, and false ones that are not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest

from headgate.testing.gateway import RunningGateway, running
from tests.usage import row_where

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
CHUNK = b'data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[%b]}\n\n'
HELLO = CHUNK % b'{"index":0,"delta":{"role":"assistant","content":"Hello"},"finish_reason":null}'
STOP = CHUNK % b'{"index":0,"delta":{},"finish_reason":"stop"}'
DONE = b"data: [DONE]\n\n"

Play = Callable[[asyncio.StreamWriter], Awaitable[None]]


def framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@asynccontextmanager
async def provider(play: Play) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD)
        await play(writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


@pytest.fixture
def before(tmp_path: Path) -> Iterator[Callable[[str], RunningGateway]]:
    """Starts a gateway before a provider at this address."""
    scopes = []

    def start(url: str) -> RunningGateway:
        settings = f"providers:\n  raw: {{kind: compatible, base_url: '{url}'}}\n"
        scopes.append(running(tmp_path, settings=settings))
        return scopes[-1].__enter__()

    yield start
    for scope in scopes:
        scope.__exit__(None, None, None)


async def ask(gateway: RunningGateway) -> httpx.Response:
    body = {"model": "raw/m", "stream": True, "messages": [{"role": "user", "content": "x"}]}
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {gateway.key}"}, timeout=20) as client:
        return await client.post(f"{gateway.url}/v1/chat/completions", json=body)


async def test_an_end_mark_before_the_last_chunk_of_its_connection_is_a_whole_stream(
    before: Callable[[str], RunningGateway],
) -> None:
    async def late(writer: asyncio.StreamWriter) -> None:
        writer.write(framed(HELLO))
        await asyncio.sleep(0.7)  # long enough for a watcher of the caller to be there
        writer.write(framed(STOP + DONE))
        await asyncio.sleep(0.1)
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    async with provider(late) as url:
        gateway = await asyncio.to_thread(before, url)
        answer = await ask(gateway)
        assert answer.content.endswith(DONE)
        row = await asyncio.to_thread(row_where, gateway, request_id=answer.headers["x-request-id"])
    assert (row["status"], row["error"], row["partial"]) == (200, "", False)


@pytest.mark.parametrize(
    "false",
    [
        b'event: error\ndata: {"message":"boom"}\n\n',
        CHUNK % b'{"index":0,"delta":{},"finish_reason":"error"}',
        b'data: {"object":"error","message":"boom"}\n\n',
        b'data: {"detail":"boom"}\n\n',
        b"data: <html>502 Bad Gateway</html>\n\n",
        b'data: {"id":"1","choi\n\n',
    ],
    ids=["event", "finish", "object", "detail", "html", "half"],
)
async def test_what_is_no_answer_in_a_stream_never_passes_for_one(
    before: Callable[[str], RunningGateway], false: bytes
) -> None:
    async def play(writer: asyncio.StreamWriter) -> None:
        for piece in (HELLO, false, STOP, DONE):
            writer.write(framed(piece))
            await writer.drain()
        writer.write(b"0\r\n\r\n")

    async with provider(play) as url:
        gateway = await asyncio.to_thread(before, url)
        answer = await ask(gateway)
    assert answer.content.startswith(HELLO)
    assert b'"error":{' in answer.content
    assert DONE not in answer.content


async def test_a_body_behind_an_upgrade_is_never_a_request(gateway: RunningGateway) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
    smuggled = b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n"
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: h2c\r\n"
        b"content-length: %d\r\n\r\n" % len(smuggled)
    )
    await writer.drain()
    rest = b""
    async with asyncio.timeout(5):
        first = await reader.read(65536)
        writer.write(smuggled)
        with suppress(ConnectionError):  # a connection closed over unread bytes ends in a reset
            rest = await reader.read()
    writer.close()
    assert first.startswith(b"HTTP/1.1 401")
    assert b"200 OK" not in first + rest
