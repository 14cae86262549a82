"""Servers to test clients against: scripted byte by byte on real sockets."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from headgate.upstream.base import Call, Limits

OK = b"HTTP/1.1 200 OK\r\n"
SMALL = OK + b"content-length: 5\r\n\r\nhello"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
ESTABLISHED, CLOSE_WAIT = "01", "08"
HASTY = Limits(connect_s=0.5, first_byte_s=0.3, idle_s=0.3, total_s=5.0)


class Peer:
    """The server's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def request(self) -> bytes:
        """The next request, head and body."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        return head + (await self.reader.readexactly(int(length[1])) if length else b"")

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def gone(self) -> None:
        """Returns when the client has closed."""
        with suppress(ConnectionError):
            while await self.reader.read(65536):
                pass


def open_ends(port: int) -> int:
    """Server ends of connections that are not closed yet. One in a TLS handshake is known to nobody but the kernel."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    here = f"{int.from_bytes(socket.inet_aton('127.0.0.1'), sys.byteorder):08X}:{port:04X}"
    return sum(row[1] == here and row[3] in (ESTABLISHED, CLOSE_WAIT) for row in rows)


Script = Callable[[Peer], Awaitable[None]]


class Server:
    """Runs the same script for each connection, and remembers."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self.connections = 0
        self.finished = 0
        self.finish = asyncio.Event()
        """Set when a script has come to its end."""
        self.port = 0

    def url(self, path: str = "/", scheme: str = "http", host: str = "127.0.0.1") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        task = asyncio.create_task(self._run(Peer(reader, writer)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, peer: Peer) -> None:
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                await self._script(peer)
            self.finished += 1
            self.finish.set()
        finally:
            peer.writer.close()

    async def until(self, seen: Callable[[], bool]) -> None:
        """Returns when that is so; fails after 5 s."""
        async with asyncio.timeout(5):
            while not seen():  # noqa: ASYNC110 (what is waited for has no event: descriptors, sockets of the other side)
                await asyncio.sleep(0.005)

    async def done(self, scripts: int) -> None:
        """Returns when so many scripts have come to their end."""
        await self.until(lambda: self.finished == scripts)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        await self.until(lambda: not open_ends(self.port))


@asynccontextmanager
async def serving(script: Script, tls: ssl.SSLContext | None = None, port: int = 0) -> AsyncIterator[Server]:
    """A server on 127.0.0.1, on a free port unless one is given."""
    server = Server(script)
    listening = await asyncio.start_server(server, "127.0.0.1", port, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        await server.stop()


def answering(answer: bytes) -> Script:
    """Every request of a connection gets these bytes."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(answer)

    return script


def answering_once(answer: bytes) -> Script:
    """The first request gets these bytes, then the connection closes."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer)

    return script


def post(url: str, body: bytes = b"{}", limits: Limits = HASTY) -> Call:
    return Call(url, [(b"content-type", b"application/json")], body, limits=limits)
