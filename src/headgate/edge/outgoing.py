"""What leaves a connection: held until the end of the loop's round, and the time that its client has to read it."""

from __future__ import annotations

import asyncio
from math import inf
from time import monotonic

from headgate.outbox import Outbox

HELD_BYTES = 64 * 1024
"""Bytes that wait for the end of the round at most."""
READ_RATE = 500.0
"""Bytes a second that a client has to read, so that the rest of an answer is not taken from it."""


class Outgoing:
    """The one who writes to a connection. After `last` nothing is written any more."""

    __slots__ = (
        "_closed",
        "_full_at",
        "_loop",
        "_outbox",
        "_room",
        "_size",
        "_transport",
        "_unread",
        "_waiting",
        "_write_s",
    )

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, outbox: Outbox, write_s: float
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._outbox = outbox
        self._write_s = write_s
        self._waiting: list[bytes] = []
        self._size = 0
        self._closed = False
        self._room: asyncio.Future[None] | None = None
        self._full_at = inf
        """Since when the client has not read enough."""
        self._unread = 0
        """Bytes that waited for it then."""

    @property
    def full(self) -> bool:
        """The client does not take what is sent: wait for `room`."""
        return self._room is not None

    async def room(self) -> None:
        """Waits until the client has taken enough, or is gone."""
        if self._room is not None:
            await asyncio.shield(self._room)

    def write(self, data: bytes) -> None:
        """Sends at the end of the loop's round, earlier only where much waits."""
        if self._closed:
            return
        if not self._waiting:
            self._outbox.add(self.flush)
        self._waiting.append(data)
        self._size += len(data)
        if self._size > HELD_BYTES:
            self.flush()

    def flush(self) -> None:
        """Hands to the kernel what was written."""
        if self._waiting:
            data = b"".join(self._waiting)
            self._waiting.clear()
            self._size = 0
            self._transport.write(data)

    def last(self) -> None:
        """Sends what was written; it was the last."""
        self.flush()
        self._closed = True
        self._count()

    def lost(self) -> None:
        """The client is gone."""
        self._closed = True
        self._waiting.clear()
        self.resume()

    def pause(self) -> None:
        """The kernel takes no more for now."""
        self._count()
        self._room = self._loop.create_future()

    def resume(self) -> None:
        """There is room again."""
        self._full_at = inf
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    def stuck(self, now: float) -> bool:
        """Whether the client has had its time, and has not read. One that reads, if slowly, gets it anew."""
        if self._full_at == inf:
            return False
        if self._transport.get_write_buffer_size() <= self._unread - READ_RATE * self._write_s:
            self._count()
        return now - self._full_at > self._write_s

    def _count(self) -> None:
        self._full_at = monotonic()
        self._unread = self._transport.get_write_buffer_size()
