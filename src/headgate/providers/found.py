"""Which providers there are: a scan of this folder, then the entry points of other packages, through one door."""

from __future__ import annotations

import logging
import pkgutil
import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from importlib import import_module
from types import ModuleType

from headgate import providers
from headgate.config import ProviderSettings, stem
from headgate.errors import ConfigError
from headgate.providers.base import Provider

ENTRY_POINTS = "headgate.providers"
"""The entry-point group in which another package names its `Provider` classes."""

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")
"""What a provider may be called: it is the first segment of `provider/model`."""

_log = logging.getLogger(__name__)


def discover(report: Callable[[str], None] = _log.error) -> dict[str, type[Provider]]:
    """Every provider class by its name. One that cannot be used is told to `report` and left out; none is fatal."""
    found: dict[str, type[Provider]] = {}
    for origin, classes in (*_built_in(), *_installed(report)):
        for cls in classes:
            fault = _fault(cls, found)
            if fault:
                report(f"provider from {origin}: {fault}")
            else:
                found[cls.name] = cls
    return found


def make(settings: ProviderSettings, classes: Mapping[str, type[Provider]]) -> Provider:
    """The configured provider. One of kind `compatible` that bears the name of a listed service has that one's habits.

    Raises `ConfigError` for a kind that nobody offers, and for a service without an address.
    """
    kind = settings.name if settings.kind == "compatible" and settings.name in classes else settings.kind
    if kind not in classes:
        near = get_close_matches(kind, classes, n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else f"; there are {', '.join(sorted(classes))}"
        raise ConfigError(f"provider {settings.name!r}: there is no kind {kind!r}{hint}")
    made = classes[kind](settings)
    if not (made.base_url or made.responds or made.embeds):
        variable = made.base_env[0] if made.base_env else f"{stem(settings.name)}_BASE_URL"
        raise ConfigError(f"provider {settings.name!r}: expected {variable}, or its base_url in headgate.yaml")
    return made


def offered(module: ModuleType) -> list[type[Provider]]:
    """The provider classes that a module writes, and those that it makes and lists in `PROVIDERS`."""
    written = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, Provider)]
    own = [cls for cls in written if cls.__module__ == module.__name__ and cls.name]
    return [*own, *getattr(module, "PROVIDERS", ())]


def _built_in() -> Iterable[tuple[str, list[type[Provider]]]]:
    for module in pkgutil.iter_modules(providers.__path__, f"{providers.__name__}."):
        yield module.name, offered(import_module(module.name))


def _installed(report: Callable[[str], None]) -> Iterable[tuple[str, list[type[Provider]]]]:
    from importlib.metadata import entry_points

    for point in entry_points(group=ENTRY_POINTS):
        origin = f"entry point {point.name} ({point.value})"
        try:
            loaded = point.load()
        except Exception as error:
            report(f"provider from {origin}: {type(error).__name__}: {error}")
            continue
        yield origin, offered(loaded) if isinstance(loaded, ModuleType) else [loaded]


def _fault(cls: object, found: Mapping[str, type[Provider]]) -> str:
    if not (isinstance(cls, type) and issubclass(cls, Provider)):
        return f"{cls!r} is not a Provider class"
    if not NAME.fullmatch(cls.name):
        return f"{cls.name!r} is no name for a provider: use lower-case letters, digits, '-', '_' and '.'"
    if cls.name in found:
        return f"the name {cls.name!r} is taken by {found[cls.name].__module__}"
    return ""
