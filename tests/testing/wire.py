"""What a fake puts on the line, byte by byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import msgspec

from headgate.testing import FakeUpstream

LIMIT_S = 10.0


def post(path: str = "/v1/chat/completions", *, fault: str = "", text: str = "one two three", **fields: Any) -> bytes:
    """The bytes of a call whose connection stays open; `fields` change its body."""
    said = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}
    body = msgspec.json.encode(said | fields)
    chosen = f"x-fake-fault: {fault}\r\n" if fault else ""
    head = f"POST {path} HTTP/1.1\r\nhost: fake\r\nauthorization: Bearer canary-key\r\n{chosen}"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def plain() -> httpx2.AsyncClient:
    """The vendors' HTTP client without the certificates, which take longer to load than a test to run."""
    return httpx2.AsyncClient(verify=False)


@asynccontextmanager
async def connected(fake: FakeUpstream) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A raw connection, closed at the end whatever became of it. Raises `TimeoutError` after `LIMIT_S`."""
    reader, writer = await asyncio.open_connection(fake.host, fake.port)
    try:
        async with asyncio.timeout(LIMIT_S):
            yield reader, writer
    finally:
        writer.transport.abort()


async def exchange(fake: FakeUpstream, request: bytes) -> tuple[bytes, bool]:
    """All bytes until the server closes, and whether it reset the connection."""
    found = bytearray()
    async with connected(fake) as (reader, writer):
        writer.write(request)
        try:
            while data := await reader.read(65536):
                found += data
        except ConnectionResetError:
            return bytes(found), True
    return bytes(found), False


async def answer(fake: FakeUpstream, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of an answer with an honest framing, on a connection that stays open."""
    async with connected(fake) as (reader, writer):
        writer.write(request)
        status, headers = await head(reader)
        if headers.get("transfer-encoding") != "chunked":
            return status, headers, await reader.readexactly(int(headers["content-length"]))
        body = bytearray()
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        assert await reader.readexactly(2) == b"\r\n"
        return status, headers, bytes(body)


async def head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return int(first.split(" ")[1]), headers
