"""The fault proxy: what networks do to TCP connections, between a client and a server that know nothing of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self, cast
from urllib.parse import urlsplit

from headgate.testing.journal import Bell
from headgate.testing.lane import CLEAR, Lane, Way
from headgate.testing.sockets import bound, hanging, reset

PORTS = {"http": 80, "https": 443}


class End(asyncio.Protocol):
    """One of the two sockets of a link: what comes goes `out` on one lane, what the other lane brings goes in."""

    def __init__(self, link: Link, out: Lane, into: Lane) -> None:
        self._link = link
        self._out = out
        self._into = into

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast(asyncio.Transport, transport)
        stream.set_write_buffer_limits(high=0)
        self._out.source = self._into.target = stream
        self._link.opened(stream)
        self._into.step()

    def data_received(self, data: bytes) -> None:
        self._out.take(data)

    def eof_received(self) -> bool:
        self._out.take(b"")
        return True

    def pause_writing(self) -> None:
        self._into.full = True

    def resume_writing(self) -> None:
        self._into.full = False
        self._into.step()

    def connection_lost(self, exc: Exception | None) -> None:
        self._link.lost()


class Link:
    """A client's connection and the one behind it: two ends, two lanes."""

    def __init__(self, proxy: FaultProxy) -> None:
        self._proxy = proxy
        self._ends: list[asyncio.Transport] = []
        self.up = Lane(proxy.up, self._went_up, self.reset)
        self.down = Lane(proxy.down, self._went_down, self.reset)
        self.client = End(self, out=self.up, into=self.down)
        self._server = End(self, out=self.down, into=self.up)
        self._dialling: asyncio.Task[None] | None = None
        self._lost = 0

    def opened(self, end: asyncio.Transport) -> None:
        self._ends.append(end)
        if self._dialling is None:
            self._proxy.joined(self)
            self._dialling = asyncio.create_task(self._dial())
            self.up.change(self._proxy.up)

    def lost(self) -> None:
        """An end is gone; if that was no orderly end of both directions, the other goes too."""
        if not self._over:
            self.reset()
        self._lost += 1
        if self._lost == len(self._ends):
            self._proxy.left(self)

    def reset(self) -> None:
        """RST to both ends."""
        self.up.over = self.down.over = True
        self._halt()
        for end in self._ends:
            reset(end)

    @property
    def _over(self) -> bool:
        return self.up.over and self.down.over

    async def _dial(self) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: self._server, *self._proxy.upstream)
        except OSError:
            self.reset()

    def _halt(self) -> None:
        self.up.halt()
        self.down.halt()
        if self._dialling is not None and len(self._ends) == 1:
            self._dialling.cancel()

    def _went_up(self, size: int) -> None:
        self._proxy.bytes_up += size
        self._went()

    def _went_down(self, size: int) -> None:
        self._proxy.bytes_down += size
        self._went()

    def _went(self) -> None:
        if self._over:
            self._halt()
            for end in self._ends:
                end.close()


class FaultProxy:
    """Stands before a server and does to its connections what networks do. It reads no protocol.

    `async with FaultProxy(fake.base_url("openai")) as proxy:` listens at `proxy.url`, whose scheme and path are the
    upstream's. `up` is the way to the server, `down` the way back; both may be assigned at any time, and open
    connections follow. Belongs to the event loop that entered it.
    """

    def __init__(
        self, upstream: str, *, up: Way = CLEAR, down: Way = CLEAR, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        """Raises `ValueError` for an upstream that is no http or https URL."""
        parts = urlsplit(upstream)
        if not parts.hostname or parts.scheme not in PORTS:
            raise ValueError(f"{upstream!r} is no http or https URL of a server")
        self.upstream = (parts.hostname, parts.port or PORTS[parts.scheme])
        self.host = host
        self.port = port
        self.connections = 0
        """All that were ever taken."""
        self.bytes_up = 0
        """Passed on to the server, over all connections; `bytes_down` to clients."""
        self.bytes_down = 0
        self._parts = parts
        self._ways = (up, down)
        self._links: set[Link] = set()
        self._bell = Bell()
        self._server: asyncio.Server

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self._parts._replace(netloc=f"{host}:{self.port}").geturl()

    @property
    def up(self) -> Way:
        """What happens to bytes on their way to the server."""
        return self._ways[0]

    @up.setter
    def up(self, way: Way) -> None:
        self._ways = (way, self.down)
        for link in list(self._links):
            link.up.change(way)

    @property
    def down(self) -> Way:
        """What happens to bytes on their way to the client."""
        return self._ways[1]

    @down.setter
    def down(self, way: Way) -> None:
        self._ways = (self.up, way)
        for link in list(self._links):
            link.down.change(way)

    @property
    def open(self) -> int:
        """How many connections there are now."""
        return len(self._links)

    def reset(self) -> None:
        """Breaks every open connection with RST to both ends."""
        for link in list(self._links):
            link.reset()

    @asynccontextmanager
    async def refusing(self) -> AsyncIterator[None]:
        """As long as this lasts connections are refused, open ones are reset, and the port stays ours."""
        with bound(self.host, self.port):
            self._server.close()
            self.reset()
            try:
                yield
            finally:
                await self._listen()

    @asynccontextmanager
    async def hanging(self) -> AsyncIterator[None]:
        """As long as this lasts new connections are neither taken nor refused; open ones go on."""
        with bound(self.host, self.port) as held:
            self._server.close()
            try:
                with hanging(held):
                    yield
            finally:
                await self._listen()

    async def wait_open(self, count: int, timeout_s: float = 5.0) -> None:
        """Waits until so many connections are open, no more and no fewer. Raises `TimeoutError`."""
        await self._bell.until(lambda: self.open == count, timeout_s)

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Resets whatever is open."""
        self._server.close()
        self.reset()
        await self.wait_open(0)

    def joined(self, link: Link) -> None:
        self.connections += 1
        self._links.add(link)
        self._bell.ring()

    def left(self, link: Link) -> None:
        self._links.discard(link)
        self._bell.ring()

    async def _listen(self) -> None:
        listening = bound(self.host, self.port)
        self.port = listening.getsockname()[1]
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Link(self).client, sock=listening)
