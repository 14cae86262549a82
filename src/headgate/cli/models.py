"""`headgate models`: the names that the settings lead somewhere, and `sync`, which asks the services for theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from headgate.cli.options import Commands, Failure, printable, read, settings
from headgate.cli.table import FORMAT, Format, show
from headgate.errors import HeadgateError

if TYPE_CHECKING:
    from headgate.config import Config
    from headgate.providers.base import Provider


@click.group(cls=Commands, invoke_without_command=True)
@FORMAT
@settings
@click.pass_context
def models(ctx: click.Context, format: Format, config: Path | None, home: Path | None) -> None:
    """List the model names that are configured, and where each leads.

    \b
    Which of my providers has no key yet?
      headgate models
    Fetch the providers' lists, with context lengths and prices, into the database:
      headgate models sync
    """
    if ctx.invoked_subcommand is None:
        rows = list(_rows(read({"config": config, "home": home}).config))
        show(("name", "by", "leads to", "note"), rows, format)


@models.command()
@settings
def sync(config: Path | None, home: Path | None) -> None:
    """Fetch the lists of all providers that are set up into the database.

    With headgate[prices], prices and context lengths that the providers do not tell come from the book of prices.
    Running servers follow at once where there is Redis, else within two seconds.
    """
    kept, failed = asyncio.run(_sync(read({"config": config, "home": home}).config))
    if failed:
        raise Failure(f"{kept} records processed; {', '.join(failed)} could not be fetched")
    if not kept:
        raise Failure("no provider that lists its models is set up; set OPENROUTER_API_KEY, for one")
    click.echo(f"Success! {kept} records processed.")


async def _sync(config: Config) -> tuple[int, list[str]]:
    """Tells how it goes, source by source. Returns how many records were kept, and the sources that failed."""
    from headgate.house import Rooms

    counts: list[int] = []
    failures: list[str] = []

    def tell(source: str, outcome: int | HeadgateError) -> None:
        if isinstance(outcome, HeadgateError):
            failures.append(source)
            click.echo(printable(f"{source}: {outcome.message}"), err=True)
        else:
            counts.append(outcome)
            click.echo(f"{source}: {outcome}")

    async with Rooms(config, lambda: config).syncing() as fetching:
        await fetching.all(tell)
    return sum(counts), failures


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
