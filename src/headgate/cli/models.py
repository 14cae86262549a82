"""`headgate models`: the names that the settings lead somewhere. What services list themselves is not asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from headgate.cli.options import read, settings
from headgate.cli.table import FORMAT, Format, show

if TYPE_CHECKING:
    from headgate.config import Config
    from headgate.providers.base import Provider


@click.command()
@FORMAT
@settings
def models(format: Format, config: Path | None, home: Path | None) -> None:
    """List the model names that are configured, and where each leads.

    \b
    Which of my providers has no key yet?
      headgate models
    """
    rows = list(_rows(read({"config": config, "home": home}).config))
    show(("name", "by", "leads to", "note"), rows, format)


def _rows(config: Config) -> Iterator[tuple[str, str, str, str]]:
    from headgate.providers.found import discover, make

    classes = discover()
    for name, route in config.routes.items():
        yield name, "route", ", ".join(f"{leg.provider}/{leg.model}" for leg in route.legs()), route.strategy
    for alias, targets in config.aliases.items():
        yield alias, "alias", ", ".join(targets), ""
    for row in config.prefixes:
        yield f"{row.prefix}*", "prefix", row.provider, "prefix removed" if row.strip else ""
    for name, provider in config.providers.items():
        made = make(provider, classes)
        yield f"{name}/*", "provider", made.base_url, _note(made)
        for model in provider.models:
            yield f"{name}/{model}", "model", name, ""


def _note(provider: Provider) -> str:
    if provider.settings.first_key:
        return "key set"
    return f"no key: {' or '.join(provider.key_env)} is not set" if provider.key_needed else ""
