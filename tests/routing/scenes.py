"""A clock that is moved by hand, and routes of a few targets."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from headgate.errors import UpstreamError, UpstreamFailed
from headgate.routing.routes import Leg, route_of
from headgate.routing.traffic import Price, Traffic
from headgate.routing.turns import turns
from headgate.types import DEFAULT, Route, Target


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += seconds


class Scene:
    """Traffic under a clock of its own. `failures` are the calls that were told to have failed."""

    def __init__(self, seed: int = 1, price: Price = lambda target: None) -> None:
        self.clock = Clock()
        self.failures: list[tuple[Target, UpstreamError]] = []
        self.traffic = Traffic(
            price, lambda target, error: self.failures.append((target, error)), self.clock, Random(seed)
        )

    def first(self, route: Route, conversation: str = "") -> Target:
        """Where a request would go now."""
        target = turns(self.traffic, route.targets, route, conversation).next(never)
        assert target is not None
        return target

    def serve(self, route: Route, conversation: str = "", first_token_s: float = 0.1) -> Target:
        """One request that is answered at once."""
        mine = turns(self.traffic, route.targets, route, conversation)
        target = mine.next(never)
        assert target is not None
        mine.began(target)
        mine.answered(target, first_token_s, {})
        mine.ended(target, None, whole=True)
        return target

    def fail(self, target: Target, times: int = 1, error: UpstreamError | None = None) -> None:
        for _ in range(times):
            self.traffic.failed(target, error or UpstreamFailed("it failed", upstream_status=500))


def route(strategy: str, *weights: float, priorities: Sequence[int] = ()) -> Route:
    """A route `r` to the models a, b, c … of one provider."""
    ranks = priorities or [0] * len(weights)
    return route_of("r", [leg(number, *row) for number, row in enumerate(zip(weights, ranks, strict=True))], strategy)


def leg(number: int, weight: float, priority: int) -> Leg:
    return Leg(Target("p", "abcdefghijklmnopqrst"[number]), (DEFAULT,), weight, priority)


def never() -> bool:
    return False


def always() -> bool:
    return True
