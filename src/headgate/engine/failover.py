"""Tries the targets of a plan, in order, until one answers: nothing is switched once the caller has seen a byte."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from time import monotonic
from types import TracebackType

import msgspec

from headgate.engine import translation
from headgate.engine.flow import Carried, Flow, Told
from headgate.engine.reach import Reach
from headgate.errors import (
    HeadgateError,
    HouseError,
    UpstreamError,
    UpstreamFailed,
    UpstreamProtocolError,
    WireNotServed,
)
from headgate.ledger.meter import Tab
from headgate.types import Plan, Target
from headgate.wire.base import Ask, Telling, TextWire, Wire
from headgate.wire.conversation import AnyEvent
from headgate.wire.gathered import gather
from headgate.wire.vectors import VectorWire

ATTEMPTS = 3
BACKOFF_S = 0.05
BACKOFF_OVERLOADED_S = 1.0


class Opened(msgspec.Struct, frozen=True):
    """An answer that has begun: `whole`, or a `flow` whose first piece is `head`."""

    reach: Reach
    target: Target
    dropped: tuple[str, ...]
    head: bytes = b""
    flow: Flow | None = None
    whole: translation.Incoming | None = None


class RetryBudget:
    """Allows one repeated call for every ten requests, so that an outage is not answered with a storm."""

    def __init__(self, saved: float = 10.0) -> None:
        self._cap = saved
        self._saved = saved

    def earn(self) -> None:
        self._saved = min(self._cap, self._saved + 0.1)

    def spend(self) -> bool:
        if self._saved < 1.0:
            return False
        self._saved -= 1.0
        return True


class Failover:
    """Opens answers. Knows every provider that is configured."""

    def __init__(self, reaches: Mapping[str, Reach], failed: Callable[[str, str], None]) -> None:
        """`failed` is told the provider and the error's code of every call that was given up for another."""
        self.reaches = reaches
        self.failed = failed
        self.budget = RetryBudget()

    def open(self, wire: Wire, ask: Ask, plan: Plan, tab: Tab) -> Attempts:
        """An async scope around the answer: leaving it closes the provider's stream, read to its end or not.

        Entering raises what the last target failed with.
        """
        self.budget.earn()
        return Attempts(self, wire, ask, plan, tab)

    def may_repeat(self, error: HeadgateError) -> bool:
        return isinstance(error, UpstreamFailed) and self.budget.spend()


class Attempts:
    """The tries of one request, and the scope of the one that succeeded."""

    def __init__(self, failover: Failover, wire: Wire, ask: Ask, plan: Plan, tab: Tab) -> None:
        self._failover = failover
        self._wire = wire
        self._ask = ask
        self._plan = plan
        self._tab = tab
        self._scope: AbstractAsyncContextManager[object] | None = None

    async def __aenter__(self) -> Opened:
        targets = list(self._plan.targets)
        while True:
            target = targets.pop(0)
            try:
                return await self._try(target)
            except (UpstreamError, HouseError) as error:
                await self._leave()
                if not targets and self._may_repeat(error):
                    await self._back_off(error)
                    targets.append(target)
                if not targets or not error.elsewhere or self._tab.attempts >= ATTEMPTS:
                    raise
                self._failover.failed(target.provider, error.code_said)
            except BaseException:
                await self._leave()
                raise

    def _may_repeat(self, error: HeadgateError) -> bool:
        return self._tab.attempts < ATTEMPTS and self._failover.may_repeat(error)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._leave(kind, error, trace)

    async def _leave(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        scope, self._scope = self._scope, None
        if scope is not None:
            await scope.__aexit__(kind, error, trace)

    async def _try(self, target: Target) -> Opened:
        reach = self._failover.reaches[target.provider]
        try:
            if reach.provider.responds or reach.provider.embeds:
                return await self._responding(reach, target)
            return await self._calling(reach, target)
        except UpstreamError as error:
            error.message = reach.told(error.message)
            raise

    async def _calling(self, reach: Reach, target: Target) -> Opened:
        wire, ask, tab = self._wire, self._ask, self._tab
        out = translation.outgoing(wire, ask, reach, target)
        tab.attempt(target.provider, target.model)
        asked = monotonic()
        try:
            scope = reach.upstream.open(reach.call(out.wire, target.model, out.body))
            answer = await scope.__aenter__()
            self._scope = scope
            if answer.status != 200:
                raise reach.provider.failure(answer.status, answer.headers, await answer.read())
            if not ask.stream:
                body = await answer.read()
                await self._leave()
                return Opened(reach, target, out.dropped, whole=translation.incoming(wire, out.wire, ask, body))
            flow = Carried(answer, translation.passage(wire, out.wire, ask))
            return Opened(reach, target, out.dropped, head=await first(flow), flow=flow)
        finally:
            tab.upstream_s += monotonic() - asked

    async def _responding(self, reach: Reach, target: Target) -> Opened:
        wire, ask = self._wire, self._ask
        if isinstance(wire, VectorWire) and reach.provider.embeds:
            self._tab.attempt(target.provider, target.model)
            vectors = reach.provider.embed(translation.vectors_of(wire, ask, target))
            whole = translation.Incoming(wire.write_reply(vectors, ask), vectors.usage, vectors.model)
            return Opened(reach, target, (), whole=whole)
        if not isinstance(wire, TextWire) or not reach.provider.responds:
            raise WireNotServed(f"the provider `{reach.name}` does not serve {wire.name}")
        conversation = translation.conversation_of(wire, ask, target)
        self._tab.attempt(target.provider, target.model)
        events = reach.provider.respond(conversation)
        self._scope = aclosing(events)
        if not ask.stream:
            reply = gather(await self._tab.waiting(all_of(events)))
            whole = translation.Incoming(wire.write_reply(reply), reply.usage, reply.model)
            return Opened(reach, target, (), whole=whole)
        flow = Told(events, Telling(wire.writer(ask)))
        return Opened(reach, target, (), head=await self._tab.waiting(first(flow)), flow=flow)

    async def _back_off(self, error: HeadgateError) -> None:
        """Full jitter; a provider that says it is overloaded gets longer, one that names a wait gets that."""
        wished = error.retry_after_s if isinstance(error, UpstreamError) else None
        base = BACKOFF_OVERLOADED_S if error.status_said == 503 else BACKOFF_S
        await asyncio.sleep(min(wished, 5.0) if wished is not None else random.uniform(0, base * self._tab.attempts))


async def all_of(events: AsyncIterator[AnyEvent]) -> list[AnyEvent]:
    return [event async for event in events]


async def first(flow: Flow) -> bytes:
    """The first piece of a stream, looked at before the caller gets a status."""
    head = await flow.next()
    if not head:
        raise flow.failure or UpstreamProtocolError("the provider's stream is empty")
    return head
