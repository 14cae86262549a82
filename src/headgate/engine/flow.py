"""A streamed answer on its way to the caller, piece by piece, whatever its source."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Protocol

from headgate.errors import HeadgateError, UpstreamError
from headgate.types import Usage
from headgate.upstream.base import Answer
from headgate.wire.base import Passage, Telling
from headgate.wire.conversation import AnyEvent

LINGER_S = 0.25
"""How long a connection whose stream has ended may take to say so, before it is closed instead of kept."""


class Flow(Protocol):
    """Pieces in the caller's dialect, never half an event."""

    @property
    def usage(self) -> Usage | None: ...
    @property
    def model(self) -> str: ...
    @property
    def pieces(self) -> int: ...
    @property
    def failure(self) -> HeadgateError | None:
        """Why the stream is not whole; known once `next` has returned nothing."""
        ...

    async def next(self) -> bytes:
        """The next piece; empty when there are no more."""
        ...

    async def linger(self) -> None:
        """After a whole stream: lets the source say that it is over, so that its connection can be kept."""
        ...


class Carried:
    """A provider's bytes through a passage. A connection that breaks after the stream's own end breaks nothing."""

    def __init__(self, answer: Answer, passage: Passage) -> None:
        self._chunks = aiter(answer)
        self._passage = passage
        self._over = False
        self.failure: HeadgateError | None = None

    @property
    def usage(self) -> Usage | None:
        return self._passage.usage

    @property
    def model(self) -> str:
        return self._passage.model

    @property
    def pieces(self) -> int:
        return self._passage.pieces

    async def next(self) -> bytes:
        while not self._over:
            if out := await self._step():
                return out
        return b""

    async def _step(self) -> bytes:
        passage = self._passage
        try:
            out = passage.feed(await anext(self._chunks))
            self._over = passage.ended or passage.failure is not None
        except StopAsyncIteration:
            return self._finish(None)
        except UpstreamError as error:
            return self._finish(error)
        self.failure = passage.failure
        return out

    def _finish(self, broken: UpstreamError | None) -> bytes:
        """The bytes are over, by their end or by a `broken` connection."""
        self._over = True
        try:
            out = self._passage.finish()
        except UpstreamError as error:
            self.failure = error
            return b""
        self.failure = self._passage.failure and (broken or self._passage.failure)
        return out

    async def linger(self) -> None:
        with suppress(TimeoutError, StopAsyncIteration, UpstreamError):
            async with asyncio.timeout(LINGER_S):
                while True:
                    await anext(self._chunks)


class Told:
    """The events of a provider that answers by itself."""

    def __init__(self, events: AsyncIterator[AnyEvent], telling: Telling) -> None:
        self._events = events
        self._telling = telling
        self._over = False
        self.failure: HeadgateError | None = None

    @property
    def usage(self) -> Usage | None:
        return self._telling.usage

    @property
    def model(self) -> str:
        return self._telling.model

    @property
    def pieces(self) -> int:
        return self._telling.pieces

    async def next(self) -> bytes:
        while not self._over:
            try:
                out = self._telling.tell([await anext(self._events)])
            except StopAsyncIteration:
                out, self._over = self._telling.close(), True
            except HeadgateError as error:
                out, self._over, self.failure = b"", True, error
            if out:
                return out
        return b""

    async def linger(self) -> None:
        """There is no connection to keep."""
