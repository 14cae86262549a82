"""A plan for a person: every target's place, and the reason for it. Asking changes nothing."""

from __future__ import annotations

import msgspec

from headgate.routing.traffic import Traffic
from headgate.types import Plan, Target, Way


class Place(msgspec.Struct, frozen=True):
    """One target's place in a plan. `state` is `closed`, `half_open`, `open`, `resting` or `low`."""

    target: Target
    priority: int
    weight: float
    state: str
    reason: str


def explain(plan: Plan, traffic: Traffic) -> list[Place]:
    """The targets in the order in which they would be tried now; where lots are drawn, the likeliest first."""
    if len(plan.targets) == 1:
        only = Way(plan.targets[0])
        return [_place(only, traffic, "the only target")]
    route, now = plan.route, traffic.clock()
    strategy = traffic.strategy(route)

    def order(ranked: tuple[int, Way]) -> tuple[bool, float, bool, int, float, int]:
        tier, way = ranked
        fit = traffic.fit(way.target, now)
        back = 0.0 if fit else traffic.back_at(way.target, now)
        return not fit, back, traffic.low(way.target, now), tier, strategy.rank(way), way.number

    ranked = sorted(((tier, way) for tier, ways in enumerate(route.tiers) for way in ways), key=order)
    tiers = [len(ways) for ways in route.tiers]
    return [
        _place(way, traffic, strategy.reason(way) if tiers[tier] > 1 else f"alone in tier {tier + 1} of {len(tiers)}")
        for tier, way in ranked
    ]


def _place(way: Way, traffic: Traffic, reason: str) -> Place:
    state, trouble = traffic.standing(way.target)
    return Place(way.target, way.priority, way.weight, state, f"{reason}; {trouble}" if trouble else reason)
