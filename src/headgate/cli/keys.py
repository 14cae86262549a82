"""`headgate keys`: the keys in the database. Those of API_KEYS are settings and stand nowhere else."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from headgate.cli.options import Commands, database, printable, read, settings
from headgate.cli.table import FORMAT, Format, date_of, show

if TYPE_CHECKING:
    from headgate.access.keys import Key
    from headgate.types import Role, Secret


@click.group(cls=Commands)
def keys() -> None:
    """Make, list and revoke keys.

    \b
    A key for a caller, into a variable:
      KEY=$(headgate keys create --name mobile-app)
    One that may use the admin routes too:
      headgate keys create --name me --owner
    """


def _named(ctx: click.Context, param: click.Parameter, name: str) -> str:
    if len(name) > 200 or printable(name) != name:
        raise click.BadParameter("expected at most 200 characters, none of which controls a terminal")
    return name


@keys.command()
@click.option("--name", default="", callback=_named, help="What the key is for; shown in lists, logs and usage.")
@click.option("--owner", is_flag=True, help="The key may use the admin routes too.")
@settings
def create(name: str, owner: bool, config: Path | None, home: Path | None) -> None:
    """Make a key and print it: this once, as only its digest is kept."""
    row, secret = asyncio.run(_create({"config": config, "home": home}, name, "owner" if owner else "caller"))
    click.echo(f"{row.id}: a key for {'an owner' if owner else 'a caller'}. It is not shown again:", err=True)
    click.echo(secret.reveal())


async def _create(flags: dict[str, object], name: str, role: Role) -> tuple[Key, Secret]:
    from headgate.access.repository import KeyRepository

    async with database(flags) as opened:
        made = await KeyRepository(opened).create(name, role)
    await _publish(flags)
    return made


@keys.command("list")
@FORMAT
@settings
def list_keys(format: Format, config: Path | None, home: Path | None) -> None:
    """List all keys, revoked ones too. Only their beginnings are known."""
    rows = asyncio.run(_list({"config": config, "home": home}))
    cells = [
        (row.id, row.name, row.role, f"{row.prefix}…", date_of(row.created_us), date_of(row.revoked_us)) for row in rows
    ]
    show(("id", "name", "role", "key", "created", "revoked"), cells, format)


async def _list(flags: dict[str, object]) -> list[Key]:
    from headgate.access.repository import KeyRepository

    async with database(flags) as opened:
        return await KeyRepository(opened).all()


@keys.command()
@click.argument("id")
@settings
def revoke(id: str, config: Path | None, home: Path | None) -> None:
    """Revoke the key with this ID or beginning. Every process refuses it within five seconds; with Redis, at once."""
    row = asyncio.run(_revoke({"config": config, "home": home}, id))
    click.echo(f"revoked {row.id} {printable(row.name)}".rstrip())


async def _revoke(flags: dict[str, object], id: str) -> Key:
    from headgate.access.repository import KeyRepository

    async with database(flags) as opened:
        revoked = await KeyRepository(opened).revoke(id)
    await _publish(flags)
    return revoked


async def _publish(flags: dict[str, object]) -> None:
    """Tells the servers that listen on Redis that keys changed. The others poll."""
    from headgate.access.known import TOPIC
    from headgate.storage.bus import bus_at

    bus = bus_at(read(flags).config.redis_url)
    try:
        await asyncio.gather(*(check() for check in bus.checks.values()), return_exceptions=True)
        await bus.publish(TOPIC)  # what is wrong it says itself; the check has given a far Redis time to connect
    finally:
        await bus.stop()
