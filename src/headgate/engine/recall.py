"""Whether a request needs a provider at all: a kept answer serves it, or what it gets is kept for the next."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from types import TracebackType

from msgspec.structs import replace

from headgate.cache import wishes
from headgate.cache.fingerprint import fingerprint
from headgate.cache.idempotency import Idempotency
from headgate.cache.shelf import Kept
from headgate.cache.singleflight import ResponseCache
from headgate.cache.wishes import Wish
from headgate.engine.deadline import within
from headgate.engine.exchange import Exchange
from headgate.engine.recorder import Place, Recorder, replay
from headgate.ledger.meter import Tab
from headgate.wire.base import Ask

Seeking = Iterator[Awaitable[Kept | Place]]
"""Looks into one place after another, each only when the one before had nothing."""


class Turn:
    """One request before what is kept: `answered` already, or to be answered into the sink of this `exchange`."""

    __slots__ = ("answered", "exchange")

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.answered = False

    async def __aenter__(self) -> Turn:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is kept."""


class KeptTurn(Turn):
    """One whose answer comes from a place where it is kept, or goes there."""

    __slots__ = ("_counted", "_places", "_question", "_seeking", "_tab")

    def __init__(
        self, exchange: Exchange, question: bytes, tab: Tab, seeking: Seeking, counted: Callable[[bool], None]
    ) -> None:
        super().__init__(exchange)
        self._question = question
        self._tab = tab
        self._seeking = seeking
        self._counted = counted
        self._places: list[Place] = []

    async def __aenter__(self) -> Turn:
        try:
            self.answered = await self._answered()
        except BaseException as error:
            await self._leave(error)
            raise
        self._counted(self.answered)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._places:
            await self._leave(error)

    async def _answered(self) -> bool:
        """Gives the first kept answer that is found; until then, each place gets a recorder."""
        for looked in self._seeking:
            found = await self._tab.waiting(looked)
            if isinstance(found, Kept):
                await replay(found, self.exchange.sink, self._tab)
                return True
            self._places.append(found)
            recorder = Recorder(self.exchange.sink, found, self._question, self._tab)
            self.exchange = replace(self.exchange, sink=recorder)
        return False

    async def _leave(self, error: BaseException | None) -> None:
        async with AsyncExitStack() as leaving:
            for place in self._places:
                leaving.push_async_callback(place.leave, error)


class Recall:
    """Nothing is kept but for requests with an idempotency key."""

    def __init__(self, idempotency: Idempotency, counted: Callable[[bool], None]) -> None:
        """`counted` is told of each look whether it was a hit."""
        self._idempotency = idempotency
        self._counted = counted

    def turn(self, exchange: Exchange, ask: Ask, tab: Tab, due: float | None) -> Turn:
        """A scope in which the request is answered, if it is not `answered` when the scope is entered.

        Entering raises as `Idempotency.seek` and `ResponseCache.seek` do, and `DeadlinePassed` where the caller's own
        time is over (`due`) before they have looked.
        """
        if exchange.idempotency_key is None:
            return Turn(exchange)
        return self._turn(exchange, ask, tab, due, wishes.NONE)

    def _turn(self, exchange: Exchange, ask: Ask, tab: Tab, due: float | None, wish: Wish) -> Turn:
        question = fingerprint(tab.caller.key_id, exchange.route, exchange.wire.name, body=ask.body)
        seeking = self._seek(exchange, tab, question, wish)
        if due is not None:
            seeking = (within(due, looked) for looked in seeking)
        return KeptTurn(exchange, question, tab, seeking, self._counted)

    def _seek(self, exchange: Exchange, tab: Tab, question: bytes, wish: Wish) -> Seeking:
        """The outermost place first: what another one has is kept there too."""
        if exchange.idempotency_key is not None:
            yield self._idempotency.seek(tab.caller.key_id, exchange.idempotency_key, question)


class CachingRecall(Recall):
    """Every answer is kept for a while, unless its request wishes otherwise."""

    def __init__(self, idempotency: Idempotency, responses: ResponseCache, counted: Callable[[bool], None]) -> None:
        super().__init__(idempotency, counted)
        self._responses = responses

    def turn(self, exchange: Exchange, ask: Ask, tab: Tab, due: float | None) -> Turn:
        wish = wishes.read(exchange.cache_control)
        if exchange.idempotency_key is None and not wish.store:
            return Turn(exchange)
        return self._turn(exchange, ask, tab, due, wish)

    def _seek(self, exchange: Exchange, tab: Tab, question: bytes, wish: Wish) -> Seeking:
        yield from super()._seek(exchange, tab, question, wish)
        if wish.store:
            yield self._responses.seek(question, wish)
