"""Routes as they are written: names that lead to several targets, what may stand there, and the checks of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from headgate.config.settings import Keys, Node, at, near, refused, wrong
from headgate.errors import ConfigError

Strategy = Literal["priority", "weighted", "round_robin", "least_busy", "fastest", "cheapest", "sticky"]
Weight = Annotated[float, Meta(ge=0, le=1_000_000, title="a number from 0 to 1000000")]
Priority = Annotated[int, Meta(ge=0, le=1000, title="a whole number from 0 to 1000")]
StickySeconds = Annotated[float, Meta(gt=0, le=86400, title="a number of seconds above 0, at most 86400")]

FALLBACKS = ("context_length", "content_filter")


class RouteTarget(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One target of a route. A smaller `priority` goes first; `weight` counts among targets of one priority."""

    provider: str = ""
    model: str = ""
    weight: Weight = 1.0
    priority: Priority = 0
    credential: str = ""
    """One of the provider's credentials by its name; empty: all of them, taking turns."""

    def __str__(self) -> str:
        credential = f", credential {self.credential}" if self.credential else ""
        return f"{self.provider}/{self.model} (weight {self.weight:g}, priority {self.priority}{credential})"


class RouteSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A route as it is written; `provider/model` is short for a target with nothing else to say."""

    targets: tuple[str | RouteTarget, ...] = ()
    strategy: Strategy = "priority"
    sticky_s: StickySeconds = 300.0
    """How long the strategy `sticky` remembers: as long as the provider's prompt cache lives."""
    context_length: str = ""
    """The route that is tried when a request is too long for this one's models."""
    content_filter: str = ""
    """The route that is tried when a target's filter refuses a request."""

    def legs(self) -> tuple[RouteTarget, ...]:
        """The targets, none of them in its short form."""
        return tuple(_spelled(target) for target in self.targets)


def _spelled(target: str | RouteTarget) -> RouteTarget:
    if isinstance(target, RouteTarget):
        return target
    provider, _, model = target.partition("/")
    return RouteTarget(provider, model)


def check(
    routes: Mapping[str, RouteSettings],
    root: Node,
    credentials: Mapping[str, Collection[str]],
    aliases: Collection[str],
) -> None:
    """Raises `ConfigError` with source, setting and what was expected. `credentials` has those of every provider."""
    for name, route in routes.items():
        if name in aliases:
            raise _wrong(root, f"a name that is not an alias as well: {name} is one", "routes", name)
        if not route.targets:
            raise _wrong(root, "at least one target", "routes", name)
        for keys, leg in zip(_places(name, route), route.legs(), strict=True):
            try:
                _check_leg(leg, root, keys, credentials)
            except ConfigError as error:
                error.keys = keys  # who looks for every fault takes out the target as a whole
                raise
        if not any(leg.weight for leg in route.legs()):
            raise _wrong(root, "a weight above 0 for at least one target", "routes", name)
        for fallback in FALLBACKS:
            if (leads := getattr(route, fallback)) and leads not in routes:
                raise _refused(root, f"the name of another route.{near(leads, routes)}", "routes", name, fallback)
    for name in routes:
        _check_ends(name, (name,), routes, root)


def _places(name: str, route: RouteSettings) -> Iterator[Keys]:
    return (("routes", name, "targets", f"[{index}]") for index in range(len(route.targets)))


def _check_leg(leg: RouteTarget, root: Node, keys: Keys, credentials: Mapping[str, Collection[str]]) -> None:
    short = isinstance(_node(root, *keys).value, str)
    if leg.provider not in credentials:
        hint = near(leg.provider, credentials)
        where = keys if short else (*keys, "provider")
        raise _refused(root, f"{'provider/model with ' if short else ''}a known provider.{hint}", *where)
    if not leg.model:
        raise _wrong(root, "provider/model" if short else "a model", *keys)
    known = credentials[leg.provider]
    if leg.credential and leg.credential not in known:
        said = f"a credential of {leg.provider}: {' or '.join(known)}"
        raise _refused(root, f"{said}.{near(leg.credential, known)}", *keys, "credential")


def _check_ends(name: str, via: Keys, routes: Mapping[str, RouteSettings], root: Node) -> None:
    """Follows the fallbacks of a route to their ends."""
    for fallback in FALLBACKS:
        leads = getattr(routes[name], fallback)
        if leads in via:
            circle = " → ".join((*via, leads))
            raise _wrong(root, f"fallbacks that end, not a circle: {circle}", "routes", name, fallback)
        if leads:
            _check_ends(leads, (*via, leads), routes, root)


def _node(root: Node, *keys: str) -> Node:
    """What was written there, or the nearest table around it."""
    while keys and at(root, *keys) is None:
        keys = keys[:-1]
    return at(root, *keys) or root


def _wrong(root: Node, expected: str, *keys: str) -> ConfigError:
    return wrong(_node(root, *keys), keys, expected)


def _refused(root: Node, expected: str, *keys: str) -> ConfigError:
    return refused(_node(root, *keys), keys, expected)
