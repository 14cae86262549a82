"""Providers as a configuration would make them."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from headgate.config import ProviderSettings
from headgate.providers.base import Fields, Provider, encode
from headgate.types import Secret

KEY = "canary-4f1b9c0d7e2a4c58b6d3"

AnyProvider = TypeVar("AnyProvider", bound=Provider)


def configured(cls: type[AnyProvider], **settings: Any) -> AnyProvider:
    """A provider with the canary key and whatever else the settings say."""
    facts = {"name": cls.name, "kind": cls.name, "base_url": "", "key": Secret(KEY)}
    return cls(ProviderSettings(**{**facts, **settings}))


def fields(**values: object) -> Fields:
    """A request opened at its top level."""
    return {name: msgspec.Raw(encode(value)) for name, value in values.items()}


def plain(opened: Fields) -> dict[str, Any]:
    return {name: msgspec.json.decode(value) for name, value in opened.items()}
