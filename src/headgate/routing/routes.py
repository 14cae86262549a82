"""The routes of one moment: frozen, and replaced as a whole when they change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import groupby

import msgspec

from headgate.config import ProviderSettings
from headgate.config.routes import FALLBACKS, RouteSettings
from headgate.errors import ContentFiltered, ContextTooLong
from headgate.types import DEFAULT, Plan, Route, Target, Way

CODES = dict(zip(FALLBACKS, (ContextTooLong.code, ContentFiltered.code), strict=True))
"""Which refusal each fallback is for."""

Credentials = Mapping[str, tuple[str, ...]]


class Leg(msgspec.Struct, frozen=True):
    """A target as it was written: without a credential it stands for all that its provider has."""

    target: Target
    credentials: tuple[str, ...]
    weight: float = 1.0
    priority: int = 0


class Routes(msgspec.Struct, frozen=True):
    """Every route by its name, and the providers whose calls may go with other credentials than `default`."""

    named: Mapping[str, Route]
    credentials: Credentials
    targets: frozenset[Target] = frozenset()
    """Every target of every route: what may be a label of a metric."""

    def plan(self, asked: str, targets: tuple[Target, ...], why: str) -> Plan:
        """A plan for targets that no route leads to: in this order, a provider's credentials taking turns."""
        if len(targets) == 1 and targets[0].provider not in self.credentials:
            return Plan(asked, targets, why)
        name = f"{targets[0].provider}/*" if len(targets) == 1 else asked
        held = tuple(self.credentials.get(target.provider, (target.credential,)) for target in targets)
        route = _in_order(name, targets, held)
        return Plan(asked, route.targets, why, route)


NO_ROUTES = Routes({}, {})


def routes_of(settings: Mapping[str, RouteSettings], providers: Mapping[str, ProviderSettings]) -> Routes:
    """Routes that were checked (`config.routes`), ready to be followed."""
    keys = {name: tuple(provider.keys) for name, provider in providers.items()}
    credentials = {name: names for name, names in keys.items() if names != (DEFAULT,)}
    made: dict[str, Route] = {}
    for name in settings:
        _make(name, settings, credentials, made)
    return Routes(made, credentials, frozenset(target for route in made.values() for target in route.targets))


def _make(name: str, settings: Mapping[str, RouteSettings], credentials: Credentials, made: dict[str, Route]) -> Route:
    """A route after those that it falls back to."""
    if name in made:
        return made[name]
    said = settings[name]
    legs = [
        _leg(Target(leg.provider, leg.model, leg.credential), leg.weight, leg.priority, credentials)
        for leg in said.legs()
    ]
    fallbacks = {CODES[fallback]: getattr(said, fallback) for fallback in FALLBACKS}
    instead = {code: _make(leads, settings, credentials, made) for code, leads in fallbacks.items() if leads}
    made[name] = msgspec.structs.replace(route_of(name, legs, said.strategy), sticky_s=said.sticky_s, instead=instead)
    return made[name]


def _leg(target: Target, weight: float, priority: int, credentials: Credentials) -> Leg:
    held = (target.credential,) if target.credential else credentials.get(target.provider, (DEFAULT,))
    return Leg(target, held, weight, priority)


def route_of(name: str, legs: Iterable[Leg], strategy: str) -> Route:
    """Lays legs out in tiers. A leg's weight is shared by its credentials; under `priority` each leg is a tier."""
    ranked = sorted(enumerate(legs), key=lambda pair: pair[1].priority)
    ways = [(index if strategy == "priority" else leg.priority, way) for index, leg in ranked for way in _ways(leg)]
    numbered = [(tier, msgspec.structs.replace(way, number=number)) for number, (tier, way) in enumerate(ways)]
    tiers = tuple(tuple(way for _, way in tier) for _, tier in groupby(numbered, key=lambda pair: pair[0]))
    return Route(name, tiers, tuple(way.target for _, way in numbered), strategy)


def _ways(leg: Leg) -> Iterable[Way]:
    share = leg.weight / len(leg.credentials)
    for credential in leg.credentials:
        yield Way(msgspec.structs.replace(leg.target, credential=credential), share, leg.priority)


@lru_cache(4096)
def _in_order(name: str, targets: tuple[Target, ...], held: tuple[tuple[str, ...], ...]) -> Route:
    return route_of(name, map(Leg, targets, held), "priority")
