"""What all commands share: where settings come from, and how a failure is said."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headgate.errors import ConfigError, HeadgateError

if TYPE_CHECKING:
    from headgate.config.resolve import Reading
    from headgate.storage.session import Database

Command = Callable[..., Any]
CONFIG = click.option("--config", type=click.Path(path_type=Path), help="The settings file (default: ./headgate.yaml).")
HOME = click.option("--home", type=click.Path(path_type=Path), help="The folder of all state (default: ./.headgate).")


class Failure(click.ClickException):
    """A failure as one paragraph on standard error."""

    exit_code = 1

    def show(self, file: Any = None) -> None:
        click.echo(f"headgate: {printable(self.message)}", err=True)


class WrongSettings(Failure):
    """What was written cannot be used, as click says of what was typed. A sentence for each fault."""

    exit_code = 2

    def __init__(self, *faults: str) -> None:
        super().__init__(" ".join(faults))
        self._faults = faults

    def show(self, file: Any = None) -> None:
        for fault in self._faults:
            click.echo(f"headgate: {printable(fault)}", err=True)


class Commands(click.Group):
    """A group of commands whose failures are sentences, in the order in which they were added."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            raise WrongSettings(error.message) from None
        except HeadgateError as error:
            raise Failure(error.message) from None


def settings(command: Command) -> Command:
    """Gives a command `--config` and `--home`, which it hands to `read`."""
    return CONFIG(HOME(command))


def read(flags: Mapping[str, object]) -> Reading:
    """All settings, with these flags over them. Raises `ConfigError`."""
    from headgate.config import reading

    return reading(flags)


@asynccontextmanager
async def database(flags: Mapping[str, object]) -> AsyncIterator[Database]:
    """The database that the settings name, its schema current. Raises `ConfigError` and `StorageUnavailable`."""
    from headgate.storage.schema import migrate
    from headgate.storage.session import Database

    url = read(flags).config.database_url
    await migrate(url)
    opened = Database(url)
    try:
        yield opened
    finally:
        await opened.close()


def printable(text: str) -> str:
    """A text that does nothing to a terminal: control, line-end and direction characters are replaced."""
    import re

    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", "�", text)
