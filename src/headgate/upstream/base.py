"""The one interface to providers' servers: a `Call` goes out, an `Answer` comes back. HTTP clients live behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

Headers = list[tuple[bytes, bytes]]


class Limits(msgspec.Struct, frozen=True):
    """What one call may take. Times in seconds on the monotonic clock, sizes in bytes."""

    connect_s: float = 5.0
    first_byte_s: float = 300.0
    """From the request's last byte to the answer's headers."""
    idle_s: float = 60.0
    """Between two reads of the answer's body."""
    total_s: float = 1800.0
    header_bytes: int = 64 * 1024
    body_bytes: int = 256 * 1024 * 1024
    """The whole answer, streamed or not."""


class Call(msgspec.Struct, frozen=True):
    """One request. `url` is absolute, from configuration only. `headers` have lower-case names and no `host`,
    `content-length` or `connection`: the client adds these."""

    url: str
    headers: Headers
    body: bytes = b""
    method: str = "POST"
    limits: Limits = Limits()


class Answer(Protocol):
    """An open answer: status and headers are there, the body is still coming.

    Iterating and `read` raise `UpstreamTimeout` (idle or total limit), `UpstreamUnreachable` (reset before any body
    byte), `UpstreamProtocolError` (junk, caps) or `StreamCut` (the connection ended before the body did).
    """

    status: int
    headers: dict[bytes, bytes]
    """Lower-case names; the last of several wins."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def read(self) -> bytes:
        """The whole body."""
        ...


class Upstream(Protocol):
    """A client. `open` sends the call when entered and closes or returns the connection when left: an answer that was
    not read to its end, or a cancelled call, closes the connection at once."""

    def open(self, call: Call) -> AbstractAsyncContextManager[Answer]:
        """Entering raises `UpstreamUnreachable`, `UpstreamTimeout` or `UpstreamProtocolError`."""
        ...

    async def close(self) -> None:
        """Closes idle connections and refuses new calls."""
        ...
