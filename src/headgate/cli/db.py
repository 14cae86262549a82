"""`headgate db`: the database's schema. `headgate serve` upgrades it by itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from headgate.cli.options import Commands, read, settings


@click.group(cls=Commands)
def db() -> None:
    """Move the database's schema.

    \b
    Where is it, and where could it be?
      headgate db current
    Upgrade before the new server starts, as a step of its own:
      headgate db upgrade
    """


@db.command()
@settings
def current(config: Path | None, home: Path | None) -> None:
    """Print the schema's revision and the newest that this program knows."""
    from headgate.storage import schema

    found = asyncio.run(schema.current(read({"config": config, "home": home}).config.database_url))
    click.echo(f"{found or 'no schema'} (newest: {schema.revisions()[-1]})")


@db.command()
@click.argument("revision", default="head")
@settings
def upgrade(revision: str, config: Path | None, home: Path | None) -> None:
    """Move the schema forwards, to the newest REVISION unless another is said."""
    from headgate.storage import schema

    asyncio.run(schema.upgrade(read({"config": config, "home": home}).config.database_url, revision))
    click.echo("upgraded")


@db.command()
@click.argument("revision")
@click.confirmation_option("--yes", prompt="What newer tables hold will be lost. Go on?", help="Do not ask.")
@settings
def downgrade(revision: str, config: Path | None, home: Path | None) -> None:
    """Move the schema back to REVISION (base: no tables). What newer tables hold is lost."""
    from headgate.storage import schema

    asyncio.run(schema.downgrade(read({"config": config, "home": home}).config.database_url, revision))
    click.echo(f"downgraded to {revision}")
