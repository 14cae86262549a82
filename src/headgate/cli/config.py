"""`headgate config`: check, show and begin the settings."""

from __future__ import annotations

from pathlib import Path

import click

from headgate.cli.options import Commands, printable, read, settings
from headgate.cli.table import FORMAT, Format, show


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
    """Read all settings as the server would. Exit code 2: one is wrong."""
    from headgate.providers.found import discover, make

    decided = read({"config": config, "home": home}).config
    classes = discover()
    for provider in decided.providers.values():
        make(provider, classes)
    for notice in decided.notices:
        click.echo(f"note: {printable(notice)}")
    click.echo("the settings are good")


@config.command("show")
@FORMAT
@settings
def show_settings(format: Format, config: Path | None, home: Path | None) -> None:
    """Print each setting, its value and where it was written. Secrets are hidden."""
    from headgate.config.settings import rows

    reading = read({"config": config, "home": home})
    show(("setting", "value", "source"), list(rows(reading.file, reading.root)), format)


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
