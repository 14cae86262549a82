"""Tries the targets of a plan, in order, until one answers: nothing is switched once the caller has seen a byte."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from time import monotonic
from types import TracebackType

import msgspec

from headgate.engine import translation
from headgate.engine.deadline import Hurried, within
from headgate.engine.flow import Carried, Flow, Told
from headgate.engine.reach import Reach
from headgate.errors import (
    HeadgateError,
    HouseError,
    NotConnected,
    UpstreamError,
    UpstreamFailed,
    UpstreamProtocolError,
    WireNotServed,
)
from headgate.ledger.meter import Tab
from headgate.routing.stickiness import conversation_of
from headgate.routing.traffic import Traffic
from headgate.routing.turns import turns
from headgate.types import Plan, Route, Target
from headgate.wire.base import Ask, Telling, TextWire, Wire
from headgate.wire.conversation import AnyEvent
from headgate.wire.gathered import gather
from headgate.wire.vectors import VectorWire

ATTEMPTS = 3
BACKOFF_S = 0.05
BACKOFF_OVERLOADED_S = 1.0
WISH_MOST_S = 5.0

log = logging.getLogger(__name__)


class Opened(msgspec.Struct, frozen=True):
    """An answer that has begun: `whole`, or a `flow` whose first piece is `head`. `headers` are the provider's."""

    reach: Reach
    target: Target
    dropped: tuple[str, ...]
    head: bytes = b""
    flow: Flow | None = None
    whole: translation.Incoming | None = None
    headers: dict[bytes, bytes] = {}


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
    """Opens answers. Knows every provider that is configured, and by `traffic` how their targets do."""

    def __init__(self, reaches: Mapping[str, Reach], traffic: Traffic, followed: Callable[[str, str], None]) -> None:
        """`followed` is told the provider and the error's code of every failed call that another call followed."""
        self.reaches = reaches
        """Replaced as a whole when providers change."""
        self.traffic = traffic
        self.followed = followed
        self.budget = RetryBudget()

    def open(
        self, wire: Wire, ask: Ask, plan: Plan, reaches: Mapping[str, Reach], tab: Tab, due: float | None = None
    ) -> Attempts:
        """An async scope around the answer: leaving it closes the provider's stream, read to its end or not.

        `due` is when the caller's own time is over. Entering raises what the last target failed with.
        """
        self.budget.earn()
        if due is None:
            return Attempts(self, wire, ask, plan, reaches, tab)
        return HurriedAttempts(self, wire, ask, plan, reaches, tab, due=due)


class Attempts:
    """The tries of one request, and the scope of the one that succeeded."""

    def __init__(
        self, failover: Failover, wire: Wire, ask: Ask, plan: Plan, reaches: Mapping[str, Reach], tab: Tab
    ) -> None:
        self._failover = failover
        self._reaches = reaches
        self._wire = wire
        self._ask = ask
        self._tab = tab
        self._scope: AbstractAsyncContextManager[object] | None = None
        self._reconnects = False
        self._asked: tuple[Target, UpstreamError] | None = None
        """The last target that failed when it was called: what the setup of later ones lacks does not hide it."""
        self._follow(plan.route, plan.targets)

    def _follow(self, route: Route, targets: tuple[Target, ...]) -> None:
        sticky = route.strategy == "sticky" and len(targets) > 1
        conversation = conversation_of(self._tab.session, self._ask.fields) if sticky else ""
        self._route = route
        self._turns = turns(self._failover.traffic, targets, route, conversation)
        self._target = self._turns.next(self._failover.budget.spend) or targets[0]

    async def __aenter__(self) -> Opened:
        while True:
            try:
                self._opened = await self._try(self._target)
                return self._opened
            except UpstreamError as error:
                await self._leave()
                self._asked = self._target, error
                if not await self._go_on(error):
                    raise
            except HouseError as error:
                await self._leave()
                if not await self._go_on(error):
                    raise self._outage(error) from None
            except BaseException:
                await self._leave()
                raise

    def _outage(self, error: HouseError) -> HeadgateError:
        """What to say after a target that could not even be called: what the one before it failed with, if any."""
        return self._asked[1] if self._asked is not None and error.elsewhere else error

    async def _go_on(self, error: UpstreamError | HouseError) -> bool:
        """Whether there is another try after this failure, and at which target."""
        failed = self._target
        if self._tab.attempts >= ATTEMPTS or not (self._instead(error) or self._elsewhere(error)):
            return False
        if isinstance(error, UpstreamError):
            self._failover.followed(failed.provider, error.code_said)
            log.info(
                "request %s: attempt %d, at %s, failed: %s; %s is next",
                *(self._tab.request_id, self._tab.attempts, named(failed), error.code_said, named(self._target)),
            )
        if self._asked is not None and self._asked[0] == self._target:
            await self._tab.waiting(asyncio.sleep(pause_s(self._asked[1], self._tab.attempts)))
        return True

    def _instead(self, error: HeadgateError) -> bool:
        """Whether the route has another one for requests that are refused so."""
        route = self._route.instead.get(error.code_said)
        if route is not None:
            self._follow(route, route.targets)
        return route is not None

    def _elsewhere(self, error: HeadgateError) -> bool:
        """Whether another target is left, or the last one that was called may be asked again."""
        if not error.elsewhere:
            return False
        target = self._turns.next(self._failover.budget.spend)
        if target is None:
            return self._again()
        self._target = target
        return True

    def _again(self) -> bool:
        if self._asked is None or not (self._may_repeat(self._asked[1]) and self._failover.budget.spend()):
            return False
        self._target = self._asked[0]
        return True

    def _may_repeat(self, error: UpstreamError) -> bool:
        """A provider that failed is asked again; one that was not reached once more, as nothing was sent."""
        if isinstance(error, NotConnected):
            again, self._reconnects = not self._reconnects, True
            return again
        return isinstance(error, UpstreamFailed)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        flow = self._opened.flow
        failure = None if flow is None else flow.failure
        try:
            await self._leave(kind, error, trace)
        finally:
            self._turns.ended(self._target, failure, whole=error is None and failure is None)

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
        reach = self._reaches[target.provider]
        began = monotonic()
        self._turns.began(target)
        try:
            answers_itself = reach.provider.responds or reach.provider.embeds
            opened = await (self._responding if answers_itself else self._calling)(reach, target)
            self._turns.answered(target, monotonic() - began, opened.headers)
            return opened
        except BaseException as error:
            if isinstance(error, UpstreamError):
                error.message = reach.told(error.message)
            self._turns.ended(target, error if isinstance(error, HeadgateError) else None, whole=False)
            raise

    async def _calling(self, reach: Reach, target: Target) -> Opened:
        wire, ask, tab = self._wire, self._ask, self._tab
        out = translation.outgoing(wire, ask, reach, target)
        tab.attempt(target.provider, target.model)
        asked = monotonic()
        try:
            scope = reach.upstream.open(reach.call(out.wire, target, out.body))
            answer = await scope.__aenter__()
            self._scope = scope
            if answer.status != 200:
                raise reach.provider.failure(answer.status, answer.headers, await answer.read())
            if not ask.stream:
                body = await answer.read()
                await self._leave()
                whole = translation.incoming(wire, out.wire, ask, body)
                return Opened(reach, target, out.dropped, whole=whole, headers=answer.headers)
            flow = Carried(answer, translation.passage(wire, out.wire, ask))
            return Opened(reach, target, out.dropped, head=await first(flow), flow=flow, headers=answer.headers)
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


class HurriedAttempts(Attempts):
    """The tries of a caller that gave a time of its own: all of them together, and the answer, have that long."""

    def __init__(
        self,
        failover: Failover,
        wire: Wire,
        ask: Ask,
        plan: Plan,
        reaches: Mapping[str, Reach],
        tab: Tab,
        *,
        due: float,
    ) -> None:
        super().__init__(failover, wire, ask, plan, reaches, tab)
        self._due = due

    async def __aenter__(self) -> Opened:
        opened = await within(self._due, super().__aenter__())
        if opened.flow is not None:
            self._opened = opened = msgspec.structs.replace(opened, flow=Hurried(opened.flow, self._due))
        return opened


def pause_s(error: HeadgateError, attempts: int) -> float:
    """How long to wait before the same target is asked again, in seconds: full jitter. A provider that says it is
    overloaded gets longer, one that names a wait gets that."""
    wished = error.retry_after_s if isinstance(error, UpstreamError) else None
    base = BACKOFF_OVERLOADED_S if error.status_said == 503 else BACKOFF_S
    return min(wished, WISH_MOST_S) if wished is not None else random.uniform(0, base * attempts)


def named(target: Target) -> str:
    return f"{target.provider}/{target.model}"


async def all_of(events: AsyncIterator[AnyEvent]) -> list[AnyEvent]:
    return [event async for event in events]


async def first(flow: Flow) -> bytes:
    """The first piece of a stream, looked at before the caller gets a status."""
    head = await flow.next()
    if not head:
        raise flow.failure or UpstreamProtocolError("the provider's stream is empty")
    return head
