"""`headgate config`: check, show and begin the settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from headgate.cli.options import Commands, WrongSettings, printable, read, settings
from headgate.cli.table import FORMAT, Format, show
from headgate.errors import ConfigError

if TYPE_CHECKING:
    from headgate.config import Config


@click.group(cls=Commands)
def config() -> None:
    """Check, show and begin the settings.

    \b
    A flag beats the environment, which beats .env, which beats headgate.yaml:
      headgate config init
      headgate config check
      headgate config show
    """


@config.command()
@settings
def check(config: Path | None, home: Path | None) -> None:
    """Read all settings as the server would, and say everything that is wrong. Exit code 2: something is."""
    from headgate.config import survey

    left, faults = survey({"config": config, "home": home})
    if left is not None:
        faults += unmade(left.config)
        for notice in left.config.notices:
            click.echo(f"note: {printable(notice)}")
    if faults:
        raise WrongSettings(*(fault.message for fault in faults))
    click.echo("the settings are good")


def unmade(config: Config) -> Iterator[ConfigError]:
    """Why providers of these settings cannot be made."""
    from headgate.providers.found import discover, make

    classes = discover()
    for provider in config.providers.values():
        try:
            make(provider, classes)
        except ConfigError as error:
            yield error


@config.command("show")
@click.option("--all", is_flag=True, help="Those that were left out too, with their defaults.")
@FORMAT
@settings
def show_settings(all: bool, format: Format, config: Path | None, home: Path | None) -> None:
    """Print each setting that was written, its value and where that was. Secrets are hidden."""
    from headgate.config.settings import DEFAULT, rows

    reading = read({"config": config, "home": home})
    found = [row for row in rows(reading.file, reading.root) if all or row[2] != DEFAULT]
    show(("setting", "value", "source"), found, format)


@config.command()
def schema() -> None:
    """Print the JSON schema of headgate.yaml, for editors."""
    from headgate.cli.samples import schema_text

    click.echo(schema_text(), nl=False)


@config.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path())
@click.option("--force", is_flag=True, help="Write over files that are there.")
def init(folder: Path, force: bool) -> None:
    """Write commented samples into FOLDER: headgate.yaml, its JSON schema, and .env.example."""
    from headgate.cli.samples import env_text, schema_text, yaml_text

    files = {"headgate.yaml": yaml_text(), "headgate.schema.json": schema_text(), ".env.example": env_text()}
    there = [name for name, text in files.items() if differs(folder / name, text)]
    if there and not force:
        raise click.UsageError(f"{', '.join(there)} would be written over; --force does it.")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
        click.echo(f"wrote {folder / name}")


def differs(path: Path, text: str) -> bool:
    """Whether something else than this text is there."""
    return path.exists() and path.read_bytes() != text.encode()
