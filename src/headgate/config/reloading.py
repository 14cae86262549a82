"""Settings that are read again while running: what of them can be followed, and what differs. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from headgate.config import Config, address
from headgate.config.settings import Keys, name_of
from headgate.errors import ConfigError

LIVE = ("providers", "aliases", "routes", "prefixes", "timeouts", "answer_model", "notices")
"""What changes while running, besides the keys of `auth` and the models of `catalogue`."""

_SAID_ELSEWHERE = {"database_url": "database", "redis_url": "redis"}
_DERIVED = frozenset(("notices", "loopback_only"))


def followed(now: Config, said: Config) -> Config:
    """The settings that hold now, with all that can be followed of others.

    Raises `ConfigError` for keys that are too weak for the address that is listened on.
    """
    auth = replace(now.auth, keys=said.auth.keys, admin_key=said.auth.admin_key)
    loopback_only = said.loopback_only or (auth.mode == "open" and not auth.allow_open_network)
    if loopback_only and not (now.loopback_only or address.is_loopback(now.server.host)):
        raise ConfigError(
            f"auth: a weak key or the mode open, while {now.server.host} is listened on, which is no loopback address; "
            "expected keys of 8 characters or more that are not well known"
        )
    facts = replace(now.catalogue, models=said.catalogue.models)
    return replace(
        now, auth=auth, catalogue=facts, loopback_only=loopback_only, **{name: getattr(said, name) for name in LIVE}
    )


def differences(one: Config, other: Config) -> list[str]:
    """The names of the settings that are not the same in both, without their values."""
    return sorted(set(_differences(one, other, ())))


def _differences(one: Any, other: Any, keys: Keys) -> Iterator[str]:
    if one == other:
        return
    inner, outer = _inside(one), _inside(other)
    if not (inner and outer):
        yield name_of(keys)
        return
    for name in {**inner, **outer}:
        if keys or name not in _DERIVED:
            yield from _differences(inner.get(name), outer.get(name), (*keys, _SAID_ELSEWHERE.get(name, name)))


def _inside(value: Any) -> dict[str, Any]:
    if isinstance(value, msgspec.Struct):
        return {field: getattr(value, field) for field in value.__struct_fields__}
    return value if isinstance(value, dict) else {}
