"""One connection to a server: bytes out, bytes in to the answer that is being read on it. It parses nothing."""

from __future__ import annotations

import asyncio
import select
from typing import Protocol, cast

from headgate.outbox import Outbox


class Receiver(Protocol):
    """What a busy connection reports to."""

    def received(self, data: bytes) -> None: ...

    def lost(self, *, reset: bool) -> None: ...

    def drained(self) -> None: ...


class Connection(asyncio.Protocol):
    """A transport, idle or busy with one answer. Bytes that come while it is idle end it: nobody asked for them."""

    __slots__ = ("_outbox", "_poll", "_posted", "_transport", "closed", "expires", "full", "loop", "receiver")

    def __init__(self, loop: asyncio.AbstractEventLoop, outbox: Outbox) -> None:
        self.loop = loop
        self._outbox = outbox
        self._posted = b""
        self.receiver: Receiver | None = None
        self.expires = 0.0
        """When an idle connection is too old, on the monotonic clock."""
        self.full = False
        """The kernel takes no more for now: wait for `Receiver.drained`."""
        self.closed = False
        self._poll = select.poll()
        self._transport: asyncio.Transport

    def usable(self) -> bool:
        """May another request go out? Asks the kernel, so that a close or stray bytes not yet seen count too."""
        return not self.closed and not self._poll.poll(0)

    def post(self, data: bytes) -> None:
        """Sends at the end of the loop's round: how a small request leaves. Nothing else may wait to be sent."""
        self._posted = data
        self._outbox.add(self._flush)

    def write(self, data: bytes | memoryview) -> None:
        """Sends now, or as soon as the kernel takes more."""
        self._transport.write(data)

    def all_sent(self) -> bool:
        """Has the kernel taken everything that was posted or written?"""
        return not self._posted and not self._transport.get_write_buffer_size()

    def pause(self) -> None:
        self._transport.pause_reading()

    def resume(self) -> None:
        if not self.closed:
            self._transport.resume_reading()

    def abort(self) -> None:
        """Closes now, unsent bytes dropped."""
        self.closed = True
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        if self.receiver is None:
            self.abort()
        else:
            self.receiver.received(data)

    def eof_received(self) -> None:
        self._over(reset=False)

    def connection_lost(self, exc: Exception | None) -> None:
        self._over(reset=exc is not None)

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        if self.receiver is not None:
            self.receiver.drained()

    def _flush(self) -> None:
        data, self._posted = self._posted, b""
        if data and not self.closed:
            self._transport.write(data)

    def _over(self, *, reset: bool) -> None:
        self.closed = True
        if self.receiver is not None:
            self.receiver.lost(reset=reset)
