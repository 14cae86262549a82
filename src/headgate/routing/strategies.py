"""How one of several targets of the same priority is chosen. Each strategy is pure but for what it says of itself."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from itertools import accumulate
from math import inf
from random import Random
from typing import Protocol

import msgspec

from headgate.routing.condition import Condition
from headgate.routing.stickiness import Stickiness
from headgate.types import Target, Way

PRICES_S = 60.0
"""How long prices are taken from memory."""

Price = Callable[[Target], float | None]
"""US dollars for 1,000 tokens in and 1,000 out; None where nobody said."""


class Surroundings(msgspec.Struct, frozen=True):
    """What strategies see. `clock` is monotonic, in seconds."""

    clock: Callable[[], float]
    random: Random
    conditions: Mapping[Target, Condition]
    price: Price
    stickiness: Stickiness


class Strategy(Protocol):
    """Chooses for one route."""

    def __init__(self, route: str, around: Surroundings) -> None: ...

    def choose(self, ways: Sequence[Way], conversation: str) -> Way:
        """One of these: never empty, all of one priority, all fit."""
        ...

    def rank(self, way: Way) -> float:
        """Where it would stand now, smaller first; asking changes nothing."""
        ...

    def reason(self, way: Way) -> str:
        """Why it stands there, for a person."""
        ...


class RoundRobin:
    """Takes turns, by weight and evenly spread (nginx's smooth weighted round robin). `priority` is this in tiers of
    one target each, whose credentials take turns. Without any weight all are equal."""

    def __init__(self, route: str, around: Surroundings) -> None:
        self._credit: dict[int, float] = {}

    def choose(self, ways: Sequence[Way], conversation: str) -> Way:
        credit, best, most = self._credit, ways[0], -inf
        total = sum([way.weight for way in ways])
        even = 0.0 if total else 1.0
        for way in ways:
            credit[way.number] = mine = credit.get(way.number, 0.0) + way.weight + even
            if mine > most:
                best, most = way, mine
        credit[best.number] -= total + even * len(ways)
        return best

    def rank(self, way: Way) -> float:
        return -self._credit.get(way.number, 0.0) - way.weight

    def reason(self, way: Way) -> str:
        return f"takes turns, with weight {way.weight:g}"


class Weighted:
    """Draws lots: a target's chance is its weight's part of all."""

    def __init__(self, route: str, around: Surroundings) -> None:
        self._random = around.random.random

    def choose(self, ways: Sequence[Way], conversation: str) -> Way:
        return drawn(ways, self._random())

    def rank(self, way: Way) -> float:
        return -way.weight

    def reason(self, way: Way) -> str:
        return f"drawn by lot, with weight {way.weight:g}"


class LeastBusy:
    """The target with the fewest requests on their way for its weight; a lot among equals."""

    def __init__(self, route: str, around: Surroundings) -> None:
        self._around = around

    def choose(self, ways: Sequence[Way], conversation: str) -> Way:
        ranks = [self.rank(way) for way in ways]
        least = min(ranks)
        return drawn(
            [way for way, rank in zip(ways, ranks, strict=True) if rank == least], self._around.random.random()
        )

    def rank(self, way: Way) -> float:
        return self._around.conditions[way.target].busy / way.weight if way.weight else inf

    def reason(self, way: Way) -> str:
        return f"{self._around.conditions[way.target].busy} requests on their way"


class Fastest:
    """Of two that are drawn, the one whose first token is expected sooner (peak-EWMA, power of two choices).

    All the others get too few requests to be flooded when they look fast, and enough to be measured.
    """

    def __init__(self, route: str, around: Surroundings) -> None:
        self._around = around

    def choose(self, ways: Sequence[Way], conversation: str) -> Way:
        count, random = len(ways), self._around.random.random
        one = int(random() * count)
        other = (one + 1 + int(random() * (count - 1))) % count
        return min(ways[one], ways[other], key=self.rank)

    def rank(self, way: Way) -> float:
        return self._around.conditions[way.target].load(self._around.clock())

    def reason(self, way: Way) -> str:
        condition = self._around.conditions[way.target]
        return f"first token after {condition.first_token_s * 1000:.0f} ms of late, {condition.busy} on their way"


class Cheapest:
    """The target with the lowest price; one that nobody knows the price of comes last, as it may be any."""

    def __init__(self, route: str, around: Surroundings) -> None:
        self._around = around
        self._prices: dict[Target, float] = {}
        self._known_until = -inf

    def choose(self, ways: Sequence[Way], conversation: str) -> Way:
        if self._around.clock() >= self._known_until:
            self._prices.clear()
            self._known_until = self._around.clock() + PRICES_S
        return min(ways, key=self.rank)

    def rank(self, way: Way) -> float:
        price = self._prices.get(way.target)
        return self._ask(way.target) if price is None else price

    def reason(self, way: Way) -> str:
        price = self.rank(way)
        return "its price is not known" if price == inf else f"${price:g} for 1,000 tokens in and 1,000 out"

    def _ask(self, target: Target) -> float:
        said = self._around.price(target)
        self._prices[target] = price = inf if said is None else said
        return price


class Sticky:
    """A conversation stays where it was answered last. A new one is drawn by weight, by its own name, so that every
    process draws the same."""

    def __init__(self, route: str, around: Surroundings) -> None:
        self._route = route
        self._around = around

    def choose(self, ways: Sequence[Way], conversation: str) -> Way:
        if not conversation:
            return drawn(ways, self._around.random.random())
        target = self._around.stickiness.find(self._route, conversation, self._around.clock())
        for way in ways:
            if way.target == target:
                return way
        point = int.from_bytes(blake2b(conversation.encode(), digest_size=7).digest()) / 2**56
        return drawn(ways, point)

    def rank(self, way: Way) -> float:
        return -way.weight

    def reason(self, way: Way) -> str:
        return f"keeps its conversations; new ones come with weight {way.weight:g}"


def drawn(ways: Sequence[Way], point: float) -> Way:
    """The way that a point from 0 to 1 (1 excluded) falls on; without any weight all are equal."""
    sums = list(accumulate([way.weight for way in ways]))
    if not sums[-1]:
        return ways[int(point * len(ways))]
    return ways[min(bisect_right(sums, point * sums[-1]), len(ways) - 1)]


STRATEGIES: Mapping[str, type[Strategy]] = {
    "priority": RoundRobin,
    "weighted": Weighted,
    "round_robin": RoundRobin,
    "least_busy": LeastBusy,
    "fastest": Fastest,
    "cheapest": Cheapest,
    "sticky": Sticky,
}
