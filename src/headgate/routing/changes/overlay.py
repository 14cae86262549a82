"""What was changed of the routes at run time, and how it is laid over those of the settings. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from headgate.config import Config
from headgate.config.routes import RouteSettings, check
from headgate.config.settings import Layer, Node, Source, node_of
from headgate.errors import ConfigError

Overlay = Mapping[str, RouteSettings | None]
"""Name → the route that stands there now, or None where the settings' own is removed."""

SETTINGS = Source(Layer.FILE, "the settings")
RUN_TIME = Source(Layer.FLAG, "at run time")


class Version(msgspec.Struct, frozen=True):
    """One state of the overlay. `at_us` in epoch microseconds; `key_id` and `key_name` are whose key made it."""

    number: int
    at_us: int
    key_id: str
    key_name: str
    what: str
    overlay: Overlay


SETTINGS_ALONE = Version(0, 0, "", "", "the settings alone", {})


class Written(msgspec.Struct, frozen=True):
    """What the settings say: the routes, and what routes may name or not: credentials by provider, and aliases."""

    routes: Mapping[str, RouteSettings]
    credentials: Mapping[str, Collection[str]]
    aliases: Collection[str]


class Laid(msgspec.Struct, frozen=True):
    """An overlay over the settings. `left_out` are its entries that cannot be followed, and why."""

    overlay: Overlay
    routes: Mapping[str, RouteSettings]
    left_out: Mapping[str, ConfigError]

    def changed(self, name: str) -> bool:
        """Whether a route is as it was changed at run time, not as the settings have it."""
        return name in self.overlay and name not in self.left_out


def written_of(config: Config) -> Written:
    credentials = {name: tuple(provider.keys) for name, provider in config.providers.items()}
    return Written(config.routes, credentials, frozenset(config.aliases))


def lay(overlay: Overlay, written: Written) -> Laid:
    """Lays an overlay over the settings. What does not fit these, as they may have changed, is left out."""
    try:
        return Laid(overlay, merged(overlay, written), {})
    except ConfigError:
        return _what_fits(overlay, written)


def merged(overlay: Overlay, written: Written) -> dict[str, RouteSettings]:
    """All routes. Raises `ConfigError` that names the field where a route cannot be followed."""
    routes = {name: route for name, route in {**written.routes, **overlay}.items() if route is not None}
    check(routes, _tree(overlay, written), written.credentials, written.aliases)
    return routes


def _what_fits(overlay: Overlay, written: Written) -> Laid:
    """One entry after another, until none of the others can be added: some only fit after some."""
    fit: dict[str, RouteSettings | None] = {}
    routes, left = merged(fit, written), dict(overlay)
    faults: dict[str, ConfigError] = {}
    while len(left) != len(faults):
        left = {name: left[name] for name in faults or left}
        faults = {}
        for name, route in left.items():
            try:
                routes = merged({**fit, name: route}, written)
                fit[name] = route
            except ConfigError as error:
                faults[name] = error
    return Laid(overlay, routes, faults)


def _tree(overlay: Overlay, written: Written) -> Node:
    """Routes as a tree that knows where each was said, for the words of an error."""
    said = {name: node_of(msgspec.to_builtins(route), SETTINGS) for name, route in written.routes.items()}
    said |= {name: node_of(msgspec.to_builtins(route), RUN_TIME) for name, route in overlay.items()}
    return Node({"routes": Node(said, SETTINGS)}, SETTINGS)
