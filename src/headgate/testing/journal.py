"""What the fake upstream received, what it charged for it, and how each exchange ended."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from time import monotonic

import msgspec

from headgate.types import Usage


class Bell:
    """Rings for waiters in any thread and any event loop; each waits for a condition of its own."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    def ring(self) -> None:
        with self._condition:
            self._condition.notify_all()
            for loop, event in self._waiting:
                loop.call_soon_threadsafe(event.set)

    async def until(self, true: Callable[[], bool], timeout_s: float) -> None:
        """Waits for `true()`. Raises `TimeoutError`."""
        event = asyncio.Event()
        waiter = (asyncio.get_running_loop(), event)
        with self._condition:
            self._waiting.add(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                while not true():
                    await event.wait()
                    event.clear()
        finally:
            with self._condition:
                self._waiting.discard(waiter)

    def block_until(self, true: Callable[[], bool], timeout_s: float) -> None:
        """The same for a thread without an event loop. Raises `TimeoutError`."""
        with self._condition:
            if not self._condition.wait_for(true, timeout_s):
                raise TimeoutError


class Entry:
    """One request and how it went. Times are seconds on the monotonic clock.

    `charged` grows with what was sent: tokens of a stream that was cut are those that had left. `whole` says that the
    answer went out to its last byte, `left` that the client closed the connection before that.
    """

    def __init__(self, bell: Bell, number: int, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        self._bell = bell
        self.number = number
        self.method = method
        self.path = path
        self.headers = headers
        """Lower-case names; the last of several wins."""
        self.body = body
        self.dialect = ""
        self.model = ""
        self.fault = ""
        self.status = 0
        self.charged = Usage()
        self.bytes_sent = 0
        """Of the body, without its framing."""
        self.whole = False
        self.left = False
        self.over = False
        self.received_at = monotonic()
        self.over_at = 0.0

    @property
    def json(self) -> object:
        """The decoded body. Raises `msgspec.DecodeError` where it is not JSON."""
        return msgspec.json.decode(self.body)

    @property
    def fields(self) -> dict[str, object]:
        """The decoded body of a request that sends an object. Raises `msgspec.ValidationError` for anything else."""
        return msgspec.json.decode(self.body, type=dict[str, object])

    def close(self, *, left: bool) -> None:
        """The exchange is over; a client that left did not get the whole answer, whatever had been written."""
        self.left = left
        self.whole = self.whole and not left
        self.over = True
        self.over_at = monotonic()
        self._bell.ring()

    async def wait_over(self, timeout_s: float = 5.0) -> Entry:
        """Waits until the answer was sent, cut, or left. Raises `TimeoutError`."""
        await self._bell.until(lambda: self.over, timeout_s)
        return self

    async def wait_left(self, timeout_s: float = 5.0) -> Entry:
        """Waits until the client has closed the connection before the end of the answer. Raises `TimeoutError`."""
        await self._bell.until(lambda: self.left, timeout_s)
        return self

    def __repr__(self) -> str:
        return f"<{self.number}: {self.method} {self.path} → {self.status}>"


class Journal:
    """Every request in the order in which it came; a sequence of entries."""

    def __init__(self) -> None:
        self._bell = Bell()
        self._entries: list[Entry] = []

    def open(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Entry:
        """Notes a request that has been read."""
        entry = Entry(self._bell, len(self._entries), method, path, headers, body)
        self._entries.append(entry)
        self._bell.ring()
        return entry

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> Entry:
        return self._entries[index]

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries))

    @property
    def charged(self) -> Usage:
        """The sum over all entries: what a ledger must say to the last token."""
        charges = [entry.charged for entry in self]
        costs = [charge.cost_nano for charge in charges if charge.cost_nano is not None]
        return Usage(
            prompt=sum(charge.prompt for charge in charges),
            completion=sum(charge.completion for charge in charges),
            cached=sum(charge.cached for charge in charges),
            cache_written=sum(charge.cache_written for charge in charges),
            reasoning=sum(charge.reasoning for charge in charges),
            cost_nano=sum(costs) if costs else None,
        )

    def clear(self) -> None:
        """Forgets what was; numbers start from 0 again."""
        self._entries.clear()

    async def wait(self, n: int = 1, timeout_s: float = 5.0) -> Entry:
        """Waits until `n` requests have been received; returns the nth. Raises `TimeoutError`."""
        await self._bell.until(lambda: len(self) >= n, timeout_s)
        return self._entries[n - 1]

    async def wait_over(self, n: int = 1, timeout_s: float = 5.0) -> Entry:
        """Waits until `n` exchanges are over; returns the nth request's. Raises `TimeoutError`."""
        await self._bell.until(lambda: sum(entry.over for entry in self) >= n, timeout_s)
        return self._entries[n - 1]

    def block(self, n: int = 1, timeout_s: float = 5.0) -> Entry:
        """`wait_over` for a thread without an event loop. Raises `TimeoutError`."""
        self._bell.block_until(lambda: sum(entry.over for entry in self) >= n, timeout_s)
        return self._entries[n - 1]
