"""The command line's door: `headgate` and its commands. What a command needs is imported when it runs."""

from __future__ import annotations

import click

from headgate import __version__
from headgate.cli.config import config
from headgate.cli.db import db
from headgate.cli.explain import explain
from headgate.cli.keys import keys
from headgate.cli.models import models
from headgate.cli.options import Commands
from headgate.cli.serve import serve
from headgate.cli.usage import usage


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="headgate", message="%(prog)s %(version)s")
def main() -> None:
    """One gate for every model.

    \b
    Start a server, on 127.0.0.1:8000 without any configuration:
      headgate serve
    Write commented settings files and check them:
      headgate config init
      headgate config check
    """


@main.command()
def version() -> None:
    """Print the version."""
    click.echo(__version__)


for command in (serve, keys, usage, models, explain, config, db):
    main.add_command(command)
