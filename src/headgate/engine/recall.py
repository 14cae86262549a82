"""Whether a request needs a provider at all: a kept answer serves it, or what it gets is kept for the next."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from types import TracebackType

from msgspec.structs import replace

from headgate.cache import wishes
from headgate.cache.fingerprint import fingerprint
from headgate.cache.idempotency import Idempotency
from headgate.cache.shelf import Kept
from headgate.cache.singleflight import ResponseCache
from headgate.cache.wishes import Wish
from headgate.engine.exchange import Exchange
from headgate.engine.recorder import Place, Recorder, replay
from headgate.ledger.meter import Tab
from headgate.wire.base import Ask


class Turn:
    """One request before what is kept: `answered` already, or to be answered into the sink of this `exchange`."""

    __slots__ = ("answered", "exchange")

    def __init__(self, exchange: Exchange, *, answered: bool = False) -> None:
        self.exchange = exchange
        self.answered = answered

    async def __aenter__(self) -> Turn:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is kept."""


Scope = AbstractAsyncContextManager[Kept | Place]


class Recall:
    """Nothing is kept but for requests with an idempotency key."""

    def __init__(self, idempotency: Idempotency, counted: Callable[[bool], None]) -> None:
        """`counted` is told of each look whether it was a hit."""
        self._idempotency = idempotency
        self._counted = counted

    def turn(self, exchange: Exchange, ask: Ask, tab: Tab) -> AbstractAsyncContextManager[Turn]:
        """A scope in which the request is answered, if it is not `answered` when the scope is entered.

        Entering raises as `Idempotency.turn` and `ResponseCache.turn` do.
        """
        if exchange.idempotency_key is None:
            return Turn(exchange)
        return self._turn(exchange, ask, tab, wishes.NONE)

    @asynccontextmanager
    async def _turn(self, exchange: Exchange, ask: Ask, tab: Tab, wish: Wish) -> AsyncIterator[Turn]:
        question = fingerprint(tab.caller.key_id, exchange.route, exchange.wire.name, body=ask.body)
        async with AsyncExitStack() as scopes:
            for scope in self._scopes(exchange, tab, question, wish):
                found = await tab.waiting(scopes.enter_async_context(scope))
                if isinstance(found, Kept):
                    self._counted(True)
                    await replay(found, exchange.sink, tab)
                    yield Turn(exchange, answered=True)
                    return
                exchange = replace(exchange, sink=Recorder(exchange.sink, found, question, tab))
            self._counted(False)
            yield Turn(exchange)

    def _scopes(self, exchange: Exchange, tab: Tab, question: bytes, wish: Wish) -> Iterator[Scope]:
        """Where an answer may be kept, the outermost first."""
        if exchange.idempotency_key is not None:
            yield self._idempotency.turn(tab.caller.key_id, exchange.idempotency_key, question)


class CachingRecall(Recall):
    """Every answer is kept for a while, unless its request wishes otherwise."""

    def __init__(self, idempotency: Idempotency, responses: ResponseCache, counted: Callable[[bool], None]) -> None:
        super().__init__(idempotency, counted)
        self._responses = responses

    def turn(self, exchange: Exchange, ask: Ask, tab: Tab) -> AbstractAsyncContextManager[Turn]:
        wish = wishes.read(exchange.cache_control)
        if exchange.idempotency_key is None and not wish.store:
            return Turn(exchange)
        return self._turn(exchange, ask, tab, wish)

    def _scopes(self, exchange: Exchange, tab: Tab, question: bytes, wish: Wish) -> Iterator[Scope]:
        yield from super()._scopes(exchange, tab, question, wish)
        if wish.store:
            yield self._responses.turn(question, wish)
