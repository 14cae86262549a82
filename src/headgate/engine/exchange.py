"""One request and where its answer goes, whatever door it came through."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal, Protocol

import msgspec

from headgate.wire.base import Wire


class Served(msgspec.Struct, frozen=True):
    """The truth about an answer, told with its first byte. `own_s` is our own time until then, in seconds.

    `cache`: a kept answer is a `hit`, one that is kept from now on a `miss`; `off` where nothing is kept.
    """

    model: str
    provider: str
    attempts: int
    own_s: float
    dropped: tuple[str, ...] = ()
    cost_nano: int | None = None
    cache: Literal["off", "miss", "hit"] = "off"


class Sink(Protocol):
    """Where an answer goes. `begun` turns true with the first byte: after that no other answer is possible; `ended`
    with the last one."""

    @property
    def begun(self) -> bool: ...

    @property
    def ended(self) -> bool: ...

    async def whole(self, body: bytes, served: Served) -> None:
        """Sends a whole answer."""
        ...

    async def begin(self, media_type: str, served: Served) -> None:
        """Opens a stream."""
        ...

    async def write(self, data: bytes) -> None:
        """Sends a piece of the stream; waits while the caller is slow."""
        ...

    async def end(self) -> None: ...


class Exchange(msgspec.Struct, frozen=True):
    """A request as it came.

    `body` receives it, bounded; `began` is on the monotonic clock, `at_us` in epoch microseconds; `session` groups the
    calls of one conversation where the client says so. `idempotency_key` and `cache_control` are headers as they came.
    """

    request_id: str
    route: str
    wire: Wire
    body: Callable[[], Awaitable[bytes]]
    sink: Sink
    authorization: bytes | None
    api_key: bytes | None
    at_us: int
    began: float
    session: str = ""
    timeout_ms: bytes | None = None
    """The caller's own limit for the whole answer, as it was said; unread."""
    idempotency_key: bytes | None = None
    cache_control: bytes = b""
