"""What choosing among targets costs a request: turns, strategy, breaker and load, without a call in between."""

from __future__ import annotations

from random import Random
from time import perf_counter

from headgate.routing.routes import Leg, route_of
from headgate.routing.strategies import STRATEGIES
from headgate.routing.traffic import Traffic
from headgate.routing.turns import turns
from headgate.types import DEFAULT, Route, Target

REQUESTS = 5_000
ROUNDS = 3
HEADERS = {b"x-ratelimit-remaining-requests": b"900", b"x-ratelimit-limit-requests": b"1000"}


def choosing_us() -> float:
    """Microseconds a request for a route of twenty targets, by the dearest strategy."""
    return max(_best_us(_route(strategy, 20)) for strategy in STRATEGIES)


def alone_us() -> float:
    """The same for a route of one target."""
    return _best_us(_route("weighted", 1))


def _route(strategy: str, count: int) -> Route:
    legs = [Leg(Target(f"p{number}", "m"), (DEFAULT,), weight=1 + number) for number in range(count)]
    return route_of("r", legs, strategy)


def _best_us(route: Route) -> float:
    return min(_requests_us(route) for _ in range(ROUNDS))


def _requests_us(route: Route) -> float:
    traffic = Traffic(lambda target: 1.0, lambda target, error: None, random=Random(1))
    began = perf_counter()
    for number in range(REQUESTS):
        mine = turns(traffic, route.targets, route, f"conversation {number % 100}")
        target = mine.next(_never)
        assert target is not None
        mine.began(target)
        mine.answered(target, 0.1, HEADERS)
        mine.ended(target, None, whole=True)
    return (perf_counter() - began) / REQUESTS * 1e6


def _never() -> bool:
    return False
