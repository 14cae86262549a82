"""Which models may be called: a pure judgement over a plan, in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Protocol

from msgspec.structs import replace

from headgate.errors import ModelNotAllowed
from headgate.types import Allowed, Plan, Route, Target


class Whitelist(Protocol):
    """Judges names and where they lead. `rows` are as they were given."""

    rows: tuple[Allowed, ...]

    def allows(self, asked: str, target: Target) -> bool:
        """Whether somebody who asks for this name may be led to this target."""
        ...

    def allowed(self, plan: Plan) -> Plan:
        """The plan without the targets that are not allowed. Raises `ModelNotAllowed` when none is left."""
        ...


class Everything:
    """The whitelist that was never set."""

    rows: tuple[Allowed, ...] = ()

    def allows(self, asked: str, target: Target) -> bool:
        return True

    def allowed(self, plan: Plan) -> Plan:
        return plan


class Only:
    """The whitelist of these rows, and of nothing else: with no rows, no model may be called.

    A row allows the model `id` at `provider`, by whatever name it is asked for: an alias, a route or a prefix leads to
    a target, and the target is what must be allowed; the others of its targets are passed over. A row whose `id` is
    such a name itself allows that name, with those of its targets that are at `provider`.

    Clients of OpenRouter write who made a model, not who serves it: `{"id": "openai/gpt-4o", "provider": "openai"}`. So
    a provider that is not one of ours, or that is the beginning of the id, does not say who serves: the row allows
    the id at every provider, and `openai/gpt-4o` as this gateway's own name for `gpt-4o` at `openai` too.
    """

    def __init__(self, rows: Iterable[Allowed], providers: Collection[str]) -> None:
        self._somewhere: set[tuple[str, str]] = set()
        self._anywhere: set[str] = set()
        self.rows = tuple(rows)
        for row in self.rows:
            self._take(plain(row.id), row.provider, providers)

    def _take(self, model: str, provider: str, providers: Collection[str]) -> None:
        maker, _, rest = model.partition("/")
        if provider in providers and provider != maker:
            self._somewhere.add((provider, model))
            return
        self._anywhere.add(model)
        if rest and maker in providers:
            self._somewhere.add((maker, rest))

    def allows(self, asked: str, target: Target) -> bool:
        return self._has(target.provider, plain(target.model)) or self._has(target.provider, plain(asked))

    def allowed(self, plan: Plan) -> Plan:
        targets = tuple(target for target in plan.targets if self.allows(plan.asked, target))
        if not targets:
            raise ModelNotAllowed(f"The model `{plan.asked[:100]}` is not on this gateway's whitelist.", param="model")
        route = self._narrowed(plan.asked, plan.route)
        whole = targets == plan.targets and route == plan.route
        return plan if whole else replace(plan, targets=targets, route=route)

    def _narrowed(self, asked: str, route: Route) -> Route:
        """The route, and those that it falls back to, without what is not allowed."""
        tiers = (tuple(way for way in tier if self.allows(asked, way.target)) for tier in route.tiers)
        instead = {code: self._narrowed(asked, other) for code, other in route.instead.items()}
        return replace(
            route,
            tiers=tuple(filter(None, tiers)),
            targets=tuple(target for target in route.targets if self.allows(asked, target)),
            instead={code: other for code, other in instead.items() if other.targets},
        )

    def _has(self, provider: str, model: str) -> bool:
        return model in self._anywhere or (provider, model) in self._somewhere


def plain(model: str) -> str:
    """A name without the tag that Ollama adds where none was said."""
    return model.removesuffix(":latest")
