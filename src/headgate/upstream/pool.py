"""The connections to one place: lent, taken back, kept for a while. Bounded; who has to wait is served in order."""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic

from headgate.errors import NotConnected, UpstreamError, UpstreamTimeout, UpstreamUnreachable
from headgate.upstream.connection import Connection
from headgate.upstream.dial import Dialler
from headgate.upstream.faults import fault
from headgate.upstream.request import Place


class Pool:
    """Keep-alive connections of one place, the last one back being the first one out."""

    def __init__(self, place: Place, dialler: Dialler, *, connections: int, idle: int) -> None:
        self.peer = str(place)
        """The place as messages name it: host and port."""
        self._place = place
        self._dialler = dialler
        self._most = connections
        self._most_idle = idle
        self._size = 0
        self._idle: list[Connection] = []
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()

    def ready(self) -> Connection | None:
        """An idle connection that is fit for a request, if there is one."""
        while self._idle:
            connection = self._idle.pop()
            if connection.usable():
                return connection
            self._drop(connection)
        return None

    async def connect(self, limit_s: float) -> Connection:
        """A connection, new or handed on; waits in line when all are lent.

        Raises `UpstreamTimeout` after `limit_s` (waiting included) and `NotConnected`.
        """
        try:
            async with asyncio.timeout(limit_s):
                handed = await self._turn()
                if handed is not None and handed.usable():
                    return handed
                return await self._dial()
        except TimeoutError:
            raise UpstreamTimeout(f"{self.peer}: no connection within {limit_s:g} s") from None
        except OSError as error:
            raise not_connected(fault(error, self.peer)) from error

    def give(self, connection: Connection, keep_s: float) -> None:
        """Takes back a connection to keep it for `keep_s`; 0 or less closes it."""
        connection.receiver = None
        connection.expires = monotonic() + keep_s
        if keep_s <= 0:
            self._drop(connection)
        elif waiter := self._next_waiter():
            waiter.set_result(connection)
        elif len(self._idle) < self._most_idle:
            self._idle.append(connection)
        else:
            self._drop(connection)

    def expire(self) -> bool:
        """Closes what idled for too long. Is anything left?"""
        now = monotonic()
        for connection in [idle for idle in self._idle if idle.expires <= now]:
            self._idle.remove(connection)
            self._drop(connection)
        return bool(self._idle)

    def close(self) -> None:
        """Closes idle connections, and lent ones when they come back."""
        self._most_idle = 0
        while self._idle:
            self._drop(self._idle.pop())

    async def _turn(self) -> Connection | None:
        if self._size < self._most:
            self._size += 1
            return None
        waiter: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():
                self._pass_on(waiter.result())
            elif waiter in self._waiting:
                self._waiting.remove(waiter)
            raise

    def _pass_on(self, handed: Connection | None) -> None:
        if handed is None:
            self._free()
        else:
            self.give(handed, handed.expires - monotonic())

    async def _dial(self) -> Connection:
        try:
            connection = await self._dialler.dial(self._place)
            if connection.closed:
                raise NotConnected(f"{self.peer}: the connection ended, or spoke, before a request")
        except BaseException:
            self._free()
            raise
        return connection

    def _drop(self, connection: Connection) -> None:
        connection.abort()
        self._free()

    def _free(self) -> None:
        if waiter := self._next_waiter():
            waiter.set_result(None)
        else:
            self._size -= 1

    def _next_waiter(self) -> asyncio.Future[Connection | None] | None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                return waiter
        return None


def not_connected(error: UpstreamError) -> UpstreamError:
    """Who fails to dial has sent nothing."""
    return NotConnected(error.message) if isinstance(error, UpstreamUnreachable) else error
