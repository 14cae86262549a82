"""The lean client: HTTP/1.1 over pooled connections, one block of bytes out, one parser a call. The hot path."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from pathlib import Path
from time import monotonic
from types import TracebackType

from headgate.errors import UpstreamProtocolError, UpstreamTimeout, UpstreamUnreachable
from headgate.upstream.base import Call
from headgate.upstream.connection import Connection
from headgate.upstream.dial import Dialler
from headgate.upstream.incoming import Incoming, keep_alive_s
from headgate.upstream.pool import Pool
from headgate.upstream.request import Place, head, opening

SWEEP_S = 0.15
"""How late a limit may be noticed."""
HELD_BYTES = 256 * 1024
"""Body bytes that wait for a slow reader before the socket is left alone."""
PIECE_BYTES = 64 * 1024
"""A body up to this size goes out with its head; a larger one in pieces of it, each waiting for room."""
_NOTHING = memoryview(b"")


class Lean:
    """A client without proxies, HTTP/2 or client certificates; `Proxied` is its sibling for these.

    At most `connections` to a place at once, `idle` of them kept for `idle_s` seconds (or as long as the server says,
    where that is shorter). `ca_file` replaces the system's roots.
    """

    def __init__(
        self, *, ca_file: Path | None = None, connections: int = 1000, idle: int = 256, idle_s: float = 15.0
    ) -> None:
        self.idle_s = idle_s
        self._dialler = Dialler(ca_file)
        self._connections = connections
        self._idle = idle
        self._pools: dict[Place, Pool] = {}
        self._answers: set[LeanAnswer] = set()
        self._sweeping = False
        self._closed = False
        self._routes = lru_cache(4096)(self._route)

    def open(self, call: Call) -> LeanAnswer:
        """See `Upstream.open`. A URL, method or header that cannot be sent is an `UpstreamProtocolError` too."""
        return LeanAnswer(self, call)

    async def close(self) -> None:
        """Closes idle connections and refuses new calls; open ones go on to their end."""
        self._closed = True
        for pool in self._pools.values():
            pool.close()
        await asyncio.sleep(0)

    def enter(self, answer: LeanAnswer) -> None:
        """Begins to watch an answer's limits."""
        self._answers.add(answer)
        if not self._sweeping:
            self._sweeping = True
            asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)

    def leave(self, answer: LeanAnswer) -> None:
        self._answers.discard(answer)

    def pool(self, method: str, url: str) -> tuple[Pool, bytes]:
        """The pool and the request's first lines for a URL. Raises `UpstreamUnreachable` once closed."""
        if self._closed:
            raise UpstreamUnreachable("the client is closed")
        return self._routes(method, url)

    def _route(self, method: str, url: str) -> tuple[Pool, bytes]:
        place, start = opening(method, url)
        if place not in self._pools:
            self._pools[place] = Pool(place, self._dialler, connections=self._connections, idle=self._idle)
        return self._pools[place], start

    def _sweep(self) -> None:
        now = monotonic()
        try:
            for answer in [answer for answer in self._answers if answer.due <= now]:
                answer.expire(now)
            idling = [pool.expire() for pool in self._pools.values()]
            self._sweeping = bool(self._answers) or any(idling)
        finally:
            if self._sweeping:
                asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)


class LeanAnswer(Incoming):
    """One call and its answer. Entered once, read by one task, left once."""

    __slots__ = ("_call", "_client", "_connection", "_paused", "_pool", "_total_due", "_unsent", "_waiter", "due")

    _connection: Connection
    _pool: Pool

    def __init__(self, client: Lean, call: Call) -> None:
        super().__init__(call.limits)
        self._client = client
        self._call = call
        self._paused = False
        self._unsent = _NOTHING
        self._total_due = self.due = monotonic() + call.limits.total_s
        """`due`: when the nearest limit is over, on the monotonic clock."""
        self._waiter: asyncio.Future[None] | None = None

    async def __aenter__(self) -> LeanAnswer:
        call = self._call
        self._pool, start = self._client.pool(call.method, call.url)
        self._peer = self._pool.peer
        request = head(start, call.headers, len(call.body))
        limits = call.limits
        self._connection = self._pool.ready() or await self._pool.connect(min(limits.connect_s, limits.total_s))
        self._connection.receiver = self
        self._client.enter(self)
        try:
            if len(call.body) <= PIECE_BYTES:
                self._connection.post(request + call.body)
            else:
                await self._send(request)
            self._limit(limits.first_byte_s)
            while not self.status:
                if self.failure:
                    raise self.failure
                await self._news()
        except BaseException:
            self._leave()
            raise
        self.due = self._total_due
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave()

    def __aiter__(self) -> LeanAnswer:
        return self

    async def __anext__(self) -> bytes:
        if not self._chunks:
            self._limit(self._limits.idle_s)
            while not self._chunks:
                if self.complete:
                    raise StopAsyncIteration
                if self.failure:
                    raise self.failure
                await self._news()
            self.due = self._total_due
        if self._paused:
            self._paused = False
            self._connection.resume()
        return self.take()

    async def read(self) -> bytes:
        """The whole body (what of it was not iterated over)."""
        if self.complete:
            return self.take()
        return b"".join([chunk async for chunk in self])

    async def _send(self, request: bytes) -> None:
        """Sends a large body as the peer takes it. An answer may begin before its end: the rest goes on meanwhile."""
        self._connection.write(request)
        self._unsent = memoryview(self._call.body)
        self._send_more()
        while self._unsent and not self.status and not self.failure:
            self._limit(self._limits.idle_s)
            await self._news()

    def _send_more(self) -> None:
        while self._unsent and not self._connection.full:
            self._connection.write(self._unsent[:PIECE_BYTES])
            self._unsent = self._unsent[PIECE_BYTES:]

    def _limit(self, seconds: float) -> None:
        self.due = min(monotonic() + seconds, self._total_due)

    def _news(self) -> asyncio.Future[None]:
        """Done when bytes came, the connection ended, a limit is over, or there is room to send."""
        self._waiter = self._connection.loop.create_future()
        return self._waiter

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def received(self, data: bytes) -> None:
        """The socket gave bytes."""
        self.feed(data)
        if self.failure:
            self._connection.abort()
        elif self.held > HELD_BYTES and not self._paused:
            self._paused = True
            self._connection.pause()
        if self.status or self.failure:
            self._wake()

    def lost(self, *, reset: bool) -> None:
        """The connection is over."""
        self.end(reset=reset)
        self._wake()

    def drained(self) -> None:
        """There is room to send again."""
        self._send_more()
        self._wake()

    def expire(self, now: float) -> None:
        """A limit is over: the call fails, the connection closes."""
        if self.complete or self.failure:
            return
        limits = self._limits
        if now >= self._total_due:
            said = f"not finished within {limits.total_s:g} s"
        elif self.status:
            said = f"silent for {limits.idle_s:g} s in the middle of an answer"
        else:
            said = f"no answer within {limits.first_byte_s:g} s"
        self.failure = UpstreamTimeout(f"{self._peer}: {said}")
        self._connection.abort()
        self._wake()

    def _leave(self) -> None:
        self._parser = None
        self._client.leave(self)
        if not self.complete and not self.failure:
            self.failure = UpstreamProtocolError(f"{self._peer}: the answer was left before its end")
        self._pool.give(self._connection, self._keep_s())

    def _keep_s(self) -> float:
        clean = self.complete and self.reusable and not self._paused and self._connection.all_sent()
        if not clean:
            return 0.0
        said = self.headers.get(b"keep-alive")
        return min(self._client.idle_s, keep_alive_s(said)) if said else self._client.idle_s
