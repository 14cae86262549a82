"""`headgate explain`: where a model's name leads by the settings alone; a running server knows more."""

from __future__ import annotations

from pathlib import Path

import click

from headgate.cli.options import read, settings
from headgate.cli.table import FORMAT, Format, show


@click.command()
@click.argument("model")
@FORMAT
@settings
def explain(model: str, format: Format, config: Path | None, home: Path | None) -> None:
    """Show which targets a model's name leads to, in their order, and why.

    This reads the settings only. What a running server knows besides (breakers, load, speed, lists of models, the
    whitelist) is in its GET /api/v1/admin/explain?model=MODEL.

    \b
    Which target is asked first for the route "chat"?
      headgate explain chat
    """
    from headgate.engine.offer import Workshop, catalogue_of
    from headgate.routing import explained
    from headgate.routing.plan import plan
    from headgate.routing.routes import routes_of
    from headgate.routing.traffic import Traffic

    said = read({"config": config, "home": home}).config
    offer = Workshop(said, lambda notice: click.echo(f"note: {notice}", err=True)).offer(said)
    catalogue = catalogue_of(said, offer)
    found = plan(catalogue, routes_of(said.routes, said.providers), model)
    rows = [
        (str(number), place.target.provider, place.target.model, place.target.credential, found.why, place.reason)
        for number, place in enumerate(explained.explain(found, Traffic(catalogue.price, _nobody)), 1)
    ]
    show(("place", "provider", "model", "credential", "found by", "reason"), rows, format)


def _nobody(target: object, error: object) -> None:
    """Nothing is called here, so nothing fails."""
