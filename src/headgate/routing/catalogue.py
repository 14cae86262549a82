"""What models there are: names that were configured, and the lists that providers gave."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from msgspec.structs import replace

from headgate.config import Prefix
from headgate.types import ModelCard, Target

NEAR_AMONG = 200
"""How many names at most are compared with a wrong one: those that begin alike first."""
NEAR_CHARS = 50


class Catalogue:
    """Names and where they lead. Changed in one step by each of its first three methods, read without waiting."""

    def __init__(
        self,
        providers: Iterable[str],
        aliases: Mapping[str, tuple[str, ...]],
        prefixes: tuple[Prefix, ...],
        configured: Mapping[str, Iterable[ModelCard]],
    ) -> None:
        self._learned: dict[str, tuple[ModelCard, ...]] = {}
        self.arrange(providers, aliases, prefixes, configured)

    def arrange(
        self,
        providers: Iterable[str],
        aliases: Mapping[str, tuple[str, ...]],
        prefixes: tuple[Prefix, ...],
        configured: Mapping[str, Iterable[ModelCard]],
    ) -> None:
        """Replaces what the settings say; what the lists of the providers said stays known, of those that stay."""
        self.providers = frozenset(providers)
        self.prefixes = prefixes
        self.lead(aliases)
        self._configured = {provider: tuple(cards) for provider, cards in configured.items()}
        self._know()

    def lead(self, aliases: Mapping[str, tuple[str, ...]]) -> None:
        """Replaces the names that lead to `provider/model`."""
        self.aliases = {name: tuple(self._target(entry) for entry in entries) for name, entries in aliases.items()}

    def learn(self, provider: str, cards: Iterable[ModelCard]) -> None:
        """Replaces what is known of one provider's models; configured ones stay."""
        self._learned[provider] = tuple(cards)
        self._know()

    def _know(self) -> None:
        self._cards = {
            provider: {
                card.id: card for card in (*self._learned.get(provider, ()), *self._configured.get(provider, ()))
            }
            for provider in {**self._configured, **self._learned}
            if provider in self.providers
        }
        known: dict[str, list[Target]] = {}
        for name, models in self._cards.items():
            for model in models:
                known.setdefault(model, []).append(Target(name, model))
                if model.endswith(":latest"):
                    known.setdefault(model.removesuffix(":latest"), []).append(Target(name, model))
        self._known = {model: tuple(targets) for model, targets in known.items()}

    def known(self, model: str) -> tuple[Target, ...]:
        """Targets of every provider whose list has this very name."""
        return self._known.get(model, ())

    def cards(self) -> list[ModelCard]:
        """All rows, aliases first, sorted by id; a name that several providers have comes once."""
        rows: dict[str, ModelCard] = {}
        for alias, targets in self.aliases.items():
            rows[alias] = self._named(alias, targets[0])
        for models in self._cards.values():
            for model, card in models.items():
                rows.setdefault(model, card)
        return [rows[name] for name in sorted(rows)]

    def card(self, model: str) -> ModelCard | None:
        targets = self.aliases.get(model) or self._known.get(model)
        return self._named(model, targets[0]) if targets else None

    def price(self, target: Target) -> float | None:
        """US dollars for 1,000 tokens in and 1,000 out; None where nobody said both."""
        card = self._cards.get(target.provider, {}).get(target.model)
        if card is None or card.prompt_price_per_1k is None or card.completion_price_per_1k is None:
            return None
        return card.prompt_price_per_1k + card.completion_price_per_1k

    def near(self, model: str) -> list[str]:
        """Up to three known names that resemble a wrong one."""
        start = model[:2].lower()
        alike = sorted({*self.aliases, *self._known}, key=lambda name: name[:2].lower() != start)
        return get_close_matches(model[:NEAR_CHARS], alike[:NEAR_AMONG], n=3, cutoff=0.5)

    def _named(self, name: str, target: Target) -> ModelCard:
        """What is known of a target's model, under the name that leads to it."""
        row = self._cards.get(target.provider, {}).get(target.model)
        if row is None:
            return ModelCard(id=name, provider=target.provider, name=target.model)
        return row if row.id == name else replace(row, id=name, name=target.model)

    def _target(self, entry: str) -> Target:
        provider, _, model = entry.partition("/")
        return Target(provider, model)
