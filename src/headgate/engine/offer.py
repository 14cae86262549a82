"""What settings offer: providers as adapters, plug-ins included, and the names that lead to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec
from msgspec.structs import asdict

from headgate.config import CatalogueSettings, Config, Prefix, ProviderSettings, lookup
from headgate.config.routes import RouteSettings
from headgate.errors import ConfigError
from headgate.providers.base import Provider
from headgate.providers.found import discover, make
from headgate.routing.catalogue import Catalogue
from headgate.types import ModelCard

Report = Callable[[str], None]


class Offer(msgspec.Struct, frozen=True):
    """Providers by name, and the prefix table, longest first."""

    providers: Mapping[str, Provider]
    prefixes: tuple[Prefix, ...]


class Workshop:
    """Makes providers of settings, as often as these change. Classes are found, and plug-ins run, once."""

    def __init__(self, config: Config, report: Report) -> None:
        """`report` is told what cannot be used."""
        self._classes = discover(report)
        self._plugged = plugged(config, report)

    def offer(self, config: Config) -> Offer:
        """Raises `ConfigError` for a kind that nobody offers, and for a name that a plug-in has."""
        own = self._made(config.providers)
        for name in own.keys() & self._plugged.providers.keys():
            raise ConfigError(f"provider {name!r}: a plug-in has this name; expected another one")
        prefixes = (*config.prefixes, *self._plugged.prefixes)
        ordered = sorted(prefixes, key=lambda row: len(row.prefix), reverse=True)
        return Offer({**own, **self._plugged.providers}, tuple(ordered))

    def _made(self, providers: Mapping[str, ProviderSettings]) -> dict[str, Provider]:
        return {name: make(settings, self._classes) for name, settings in providers.items()}


def plugged(config: Config, report: Report) -> Offer:
    """What the files of the plug-in folder offer, which run now."""
    if config.plugins is None or not config.plugins.is_dir():
        return Offer({}, ())
    from headgate.providers import plugin_files

    loaded = plugin_files.load(config.plugins, lookup(), config.timeouts, config.providers)
    for notice in loaded.notices:
        report(notice)
    return Offer(loaded.providers, loaded.prefixes)


def names_of(config: Config, routes: Mapping[str, RouteSettings]) -> dict[str, tuple[str, ...]]:
    """The names that are listed among the models though no provider has them: aliases and routes."""
    return config.aliases | {
        name: tuple(f"{leg.provider}/{leg.model}" for leg in route.legs()) for name, route in routes.items()
    }


def cards_of(config: Config, offer: Offer) -> tuple[dict[str, list[ModelCard]], list[str]]:
    """What is known of models before any provider was asked, and the providers that cannot be called."""
    cards = {name: [*provider.cards(), *told(config.catalogue, name)] for name, provider in offer.providers.items()}
    return cards, [name for name, provider in offer.providers.items() if not provider.ready]


def told(catalogue: CatalogueSettings, provider: str) -> Iterator[ModelCard]:
    """What the settings say of a provider's models."""
    for name, facts in catalogue.models.items():
        first, _, model = name.partition("/")
        if first == provider:
            yield ModelCard(id=model, provider=provider, source="settings", **asdict(facts))


def catalogue_of(config: Config, offer: Offer) -> Catalogue:
    """What is known before any provider was asked."""
    return Catalogue(offer.providers, names_of(config, config.routes), offer.prefixes, *cards_of(config, offer))
