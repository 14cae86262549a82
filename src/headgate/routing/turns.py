"""The targets of one request, one after another, and what became of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from headgate.errors import HeadgateError, UpstreamAuthFailed, UpstreamError, UpstreamRateLimited
from headgate.routing.traffic import Traffic
from headgate.types import Route, Target

Risk = Callable[[], bool]


class Turns(Protocol):
    """What failover asks and tells. `began` and `ended` frame every call to a target."""

    def next(self, may_risk: Risk) -> Target | None:
        """The next target; None when there is none. One that is not fit is the first, or `may_risk` allows it."""
        ...

    def began(self, target: Target) -> None: ...

    def answered(self, target: Target, first_token_s: float, headers: Mapping[bytes, bytes]) -> None:
        """An answer has begun, so long after the call."""
        ...

    def ended(self, target: Target, failure: HeadgateError | None, *, whole: bool) -> None:
        """It is over: by a failure, whole, or neither, where the caller left."""
        ...


class Alone:
    """The only target of a plan: nothing to choose, and nothing is noted unless it fails or has failed."""

    def __init__(self, traffic: Traffic, target: Target) -> None:
        self._traffic = traffic
        self._target: Target | None = target
        self._probing = False

    def next(self, may_risk: Risk) -> Target | None:
        target, self._target = self._target, None
        return target

    def began(self, target: Target) -> None:
        """Nobody counts the calls of a target that has no rivals."""
        self._probing = not self._traffic.calm and self._traffic.probes(target)

    def answered(self, target: Target, first_token_s: float, headers: Mapping[bytes, bytes]) -> None:
        if not self._traffic.calm:
            self._traffic.answered(target)

    def ended(self, target: Target, failure: HeadgateError | None, *, whole: bool) -> None:
        if isinstance(failure, UpstreamError):
            self._traffic.failed(target, failure, probe=self._probing)
        elif whole and not self._traffic.calm:
            self._traffic.whole(target)
        if self._probing:
            self._traffic.breaker(target).left()


class Rivals:
    """The targets of a route."""

    def __init__(self, traffic: Traffic, route: Route, conversation: str) -> None:
        self._traffic = traffic
        self._route = route
        self._conversation = conversation
        self._tried: list[Target] = []
        self._probing = False

    def next(self, may_risk: Risk) -> Target | None:
        target = self._traffic.choose(self._route, self._tried, self._conversation)
        if target is None:
            target = self._traffic.weakest(self._route, self._tried)
            if target is not None and self._tried and not may_risk():
                return None
        if target is not None:
            self._tried.append(target)
        return target

    def began(self, target: Target) -> None:
        self._traffic.conditions[target].busy += 1
        self._probing = self._traffic.probes(target)

    def answered(self, target: Target, first_token_s: float, headers: Mapping[bytes, bytes]) -> None:
        traffic = self._traffic
        now = traffic.clock()
        traffic.conditions[target].measure(first_token_s, now)
        traffic.heard(target, headers)
        traffic.answered(target)
        if self._route.strategy == "sticky" and self._conversation:
            traffic.stickiness.keep(self._route.name, self._conversation, target, now + self._route.sticky_s)

    def ended(self, target: Target, failure: HeadgateError | None, *, whole: bool) -> None:
        condition = self._traffic.conditions[target]
        condition.busy -= 1
        if isinstance(failure, UpstreamError):
            self._traffic.failed(target, failure, probe=self._probing)
            self._pass_over(target, failure)
        elif whole:
            self._traffic.whole(target)
        if self._probing:
            condition.breaker.left()

    def _pass_over(self, target: Target, failure: UpstreamError) -> None:
        """A provider that fails will fail with another of its keys too; only a key's own trouble wants the next key."""
        if not isinstance(failure, (UpstreamAuthFailed, UpstreamRateLimited)):
            same = (target.provider, target.model)
            self._tried += [other for other in self._route.targets if (other.provider, other.model) == same]


def turns(traffic: Traffic, targets: Sequence[Target], route: Route, conversation: str) -> Turns:
    """The turns of these targets, which are those of the route where there is more than one."""
    return Alone(traffic, targets[0]) if len(targets) == 1 else Rivals(traffic, route, conversation)
