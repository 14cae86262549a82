"""From a name to targets: a pure function of the catalogue, so that it can be explained as well as followed."""

from __future__ import annotations

from headgate.errors import ModelNotFound
from headgate.routing.catalogue import Catalogue
from headgate.routing.routes import Routes
from headgate.types import Plan, Target


def plan(catalogue: Catalogue, routes: Routes, model: str) -> Plan:
    """The targets of a model's name that the whitelist allows.

    Raises `ModelNotFound` with near matches, and `ModelNotAllowed` where the whitelist leaves no target.
    """
    return catalogue.whitelist.allowed(find(catalogue, routes, model))


def find(catalogue: Catalogue, routes: Routes, model: str) -> Plan:
    """Finds the targets of a model's name: route, alias, `provider/model`, the prefix table, then what lists know.

    A provider that cannot be called does not stand before one whose list has the whole name: with OpenRouter's key
    alone, `openai/gpt-4o` is OpenRouter's. Raises `ModelNotFound` with near matches.
    """
    if route := routes.named.get(model):
        return Plan(model, route.targets, "route", route)
    if targets := catalogue.aliases.get(model):
        return routes.plan(model, targets, "alias")
    first, slash, rest = model.partition("/")
    if slash and rest and first in catalogue.providers and not (first in catalogue.unready and catalogue.known(model)):
        return routes.plan(model, (Target(first, rest),), "provider")
    for row in catalogue.prefixes:
        if model.startswith(row.prefix):
            name = model.removeprefix(row.prefix) if row.strip else model
            return routes.plan(model, (Target(row.provider, name),), "prefix")
    if targets := catalogue.known(model):
        return routes.plan(model, targets, "catalogue")
    raise not_found(catalogue, model)


def not_found(catalogue: Catalogue, model: str) -> ModelNotFound:
    shown = model[:100]
    near = catalogue.near(shown)
    hint = f" Did you mean {' or '.join(f'`{name}`' for name in near)}?" if near else ""
    return ModelNotFound(f"The model `{shown}` does not exist here.{hint}", param="model")
