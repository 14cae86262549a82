"""As much of HTTP/1.1 as a fake server needs to say the truth, and to lie byte by byte."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Literal, cast

import msgspec

from headgate.testing.sockets import reset

Framing = Literal["length", "chunked", "close"]

HEAD_LIMIT = 64 * 1024
BODY_LIMIT = 64 * 1024 * 1024


class BadHttp(Exception):
    """What came is no request that this server reads; `status` is the answer to it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Request(msgspec.Struct, frozen=True):
    """A request that has been read whole. Header names are lower-case; the last of several wins."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


def head(status: int, headers: dict[str, str], framing: Framing, length: int = 0) -> bytes:
    """Status line and headers, with those that the framing needs."""
    framed = {
        "length": {"content-length": str(length)},
        "chunked": {"transfer-encoding": "chunked"},
        "close": {"connection": "close"},
    }[framing]
    lines = [
        f"HTTP/1.1 {status} {_phrase(status)}",
        *(f"{name}: {value}" for name, value in (headers | framed).items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def frame(framing: Framing, data: bytes) -> bytes:
    """A piece of a body as it goes over the line; in chunked framing, one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data) if framing == "chunked" else data


def tail(framing: Framing) -> bytes:
    """What ends a body."""
    return b"0\r\n\r\n" if framing == "chunked" else b""


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Overloaded" if status == 529 else "Unnamed"


class Line(asyncio.Protocol):
    """One connection: requests come out of it, bytes go into it, and it knows at once when the client has left."""

    def __init__(self, converse: Callable[[Line], Coroutine[None, None, None]], opened: set[Line]) -> None:
        self._converse = converse
        self._opened = opened
        self._held = bytearray()
        self._news = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._transport: asyncio.Transport
        self.task: asyncio.Task[None]
        self.ours = False
        """The end of this connection was our own doing."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=0)
        self._opened.add(self)
        self.task = asyncio.get_running_loop().create_task(self._converse(self))

    def data_received(self, data: bytes) -> None:
        self._held += data
        self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._opened.discard(self)
        self.task.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    @property
    def drained(self) -> bool:
        """The kernel has everything that was written."""
        return self._writable.is_set()

    def write(self, data: bytes) -> None:
        if data:
            self._transport.write(data)

    async def flush(self) -> None:
        """Waits until the kernel has what was written, so that what follows is another segment."""
        await asyncio.sleep(0)
        await self._writable.wait()

    async def send(self, data: bytes) -> None:
        """Writes and flushes."""
        self.write(data)
        await self.flush()

    async def silence(self) -> None:
        """Waits until the client leaves; then this task is cancelled."""
        await asyncio.Event().wait()

    def close(self) -> None:
        """FIN after what was written."""
        self.ours = True
        self._transport.close()

    def reset(self) -> None:
        """RST."""
        self.ours = True
        reset(self._transport)

    async def request(self) -> Request:
        """Reads the next request. Raises `BadHttp`."""
        lines = (await self._until(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        try:
            method, target, _version = lines[0].split(" ")
        except ValueError:
            raise BadHttp(400, "the request line is not one") from None
        headers: dict[str, str] = {}
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon:
                raise BadHttp(400, "a header line without a colon")
            headers[name.lower()] = value.strip()
        if headers.get("expect", "").lower() == "100-continue":
            await self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        path, _, query = target.partition("?")
        return Request(method, path, query, headers, await self._body(headers))

    async def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return await self._chunks()
        length = headers.get("content-length", "0")
        if not length.isdecimal():
            raise BadHttp(400, "content-length is not a number")
        if int(length) > BODY_LIMIT:
            raise BadHttp(413, f"the body is over {BODY_LIMIT} bytes")
        return await self._exactly(int(length))

    async def _chunks(self) -> bytes:
        body = bytearray()
        while True:
            size = (await self._until(b"\r\n")).partition(b";")[0].strip()
            try:
                length = int(size, 16)
            except ValueError:
                raise BadHttp(400, "a chunk size is not a number") from None
            if length == 0:
                while await self._until(b"\r\n"):
                    pass
                return bytes(body)
            if len(body) + length > BODY_LIMIT:
                raise BadHttp(413, f"the body is over {BODY_LIMIT} bytes")
            body += (await self._exactly(length + 2))[:length]

    async def _until(self, mark: bytes) -> bytes:
        while (end := self._held.find(mark)) < 0:
            if len(self._held) > HEAD_LIMIT:
                raise BadHttp(431, f"the head is over {HEAD_LIMIT} bytes")
            await self._more()
        found = bytes(self._held[:end])
        del self._held[: end + len(mark)]
        return found

    async def _exactly(self, size: int) -> bytes:
        while len(self._held) < size:
            await self._more()
        found = bytes(self._held[:size])
        del self._held[:size]
        return found

    async def _more(self) -> None:
        self._news.clear()
        await self._news.wait()
