"""Keeps the tab of one request from its first byte to its last, and closes it exactly once, however it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from types import TracebackType
from typing import Protocol, TypeVar

from headgate.errors import ClientLeft, HeadgateError
from headgate.types import Caller, Record, Usage

Answer = TypeVar("Answer")

NOBODY = Caller(key_id="", name="")


class Book(Protocol):
    """Where tabs are written down: the journal."""

    def opened(self, record: Record) -> None:
        """Raises `JournalUnavailable` when nothing can be written: then nothing may be served."""
        ...

    def closed(self, record: Record) -> None: ...


class Tab:
    """What is known of one request so far. Leaving its scope makes the record and hands it on.

    A request that nobody was identified for is seen by the observers (log, metrics) but not written to the book.
    """

    __slots__ = (
        "_at_us", "_began", "_book", "_observers", "_written", "attempts", "caller", "error", "first_token_s", "model",
        "partial", "provider", "request_id", "route", "served", "session", "status", "stream", "upstream_s", "usage",
    )  # fmt: skip

    def __init__(
        self,
        book: Book,
        observers: tuple[Callable[[Record], None], ...],
        *,
        request_id: str,
        route: str,
        at_us: int,
        began: float,
        session: str,
    ) -> None:
        self._book = book
        self._observers = observers
        self._at_us = at_us
        self._began = began
        self._written = False
        self.request_id = request_id
        self.route = route
        self.session = session
        self.caller = NOBODY
        self.model = ""
        self.served = ""
        self.provider = ""
        self.stream = False
        self.attempts = 0
        self.status = 200
        self.error = ""
        self.partial = False
        self.usage: Usage | None = None
        self.first_token_s: float | None = None
        self.upstream_s = 0.0

    def attempt(self, provider: str, model: str) -> None:
        """Notes a try at a provider; the first one is in the book before a byte goes out."""
        self.attempts += 1
        self.provider = provider
        self.served = model
        if not self._written:
            self._book.opened(self._record(0))
            self._written = True

    async def waiting(self, answer: Awaitable[Answer]) -> Answer:
        """Waits for a provider, and counts the time as not ours."""
        asked = monotonic()
        try:
            return await answer
        finally:
            self.upstream_s += monotonic() - asked

    def first_token(self) -> None:
        if self.first_token_s is None:
            self.first_token_s = monotonic() - self._began

    def broke(self, error: HeadgateError) -> None:
        """Notes a failure after the first byte: the caller's status stays what it was."""
        self.error = error.code_said
        self.partial = True

    @property
    def own_s(self) -> float:
        """Our own time until now, in seconds: everything but the waiting for bodies and providers."""
        return monotonic() - self._began - self.upstream_s

    def __enter__(self) -> Tab:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._failed(error)
        record = self._record(self.status)
        if self.caller is not NOBODY:
            self._book.closed(record)
        for observe in self._observers:
            observe(record)

    def _failed(self, error: BaseException) -> None:
        if isinstance(error, HeadgateError):
            self.status, self.error = error.status_said, error.code_said
        elif isinstance(error, asyncio.CancelledError):
            left = error.args == (ClientLeft.code,)
            self.status, self.error, self.partial = (499, ClientLeft.code, True) if left else (503, "interrupted", True)
        else:
            self.status, self.error = 500, "internal_error"

    def _record(self, status: int) -> Record:
        first = self.first_token_s
        return Record(
            self.request_id,
            self._at_us,
            self.caller.key_id,
            self.caller.name,
            self.route,
            self.model,
            self.served,
            self.provider,
            self.stream,
            self.attempts,
            status,
            self.error,
            self.partial,
            self.usage,
            None if first is None else int(first * 1e6),
            int(self.upstream_s * 1e6),
            int((monotonic() - self._began) * 1e6),
            self.session,
        )


class Meter:
    """Opens tabs. `observers` see every finished record: access log, metrics, traces."""

    def __init__(self, book: Book, observers: tuple[Callable[[Record], None], ...]) -> None:
        self._book = book
        self._observers = observers

    def tab(self, *, request_id: str, route: str, at_us: int, began: float, session: str) -> Tab:
        return Tab(
            self._book, self._observers, request_id=request_id, route=route, at_us=at_us, began=began, session=session
        )
