"""What models there are: names that were configured, the lists that providers gave, and what is stored of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from time import time_ns

from msgspec.structs import replace

from headgate.config import Prefix
from headgate.routing.whitelist import Everything, Whitelist
from headgate.types import ModelCard, Target

NEAR_AMONG = 200
"""How many names at most are compared with a wrong one: those that begin alike first."""
NEAR_CHARS = 50

Cards = dict[str, ModelCard]


class Catalogue:
    """Names and where they lead. Changed in one step by each of `arrange`, `lead`, `learn`, `remember` and `restrict`;
    read without waiting.

    What is told of one model comes from up to four places. The settings win, then what the provider said to this
    process, then its stored list, then the stored book of prices; each fills the gaps of those before it.
    """

    def __init__(
        self,
        providers: Iterable[str],
        aliases: Mapping[str, tuple[str, ...]],
        prefixes: tuple[Prefix, ...],
        configured: Mapping[str, Iterable[ModelCard]],
        unready: Iterable[str] = (),
    ) -> None:
        """As `arrange`."""
        self.whitelist: Whitelist = Everything()
        self.revision = 0
        """Grows with every change of what could be shown."""
        self._learned: dict[str, Cards] = {}
        self._learned_us: dict[str, int] = {}
        self._listed: dict[str, Cards] = {}
        self._book: dict[str, Cards] = {}
        self._known: dict[str, tuple[Target, ...]] = {}
        self._shown: list[ModelCard] = []
        self._shown_at = -1
        self.arrange(providers, aliases, prefixes, configured, unready)

    def arrange(
        self,
        providers: Iterable[str],
        aliases: Mapping[str, tuple[str, ...]],
        prefixes: tuple[Prefix, ...],
        configured: Mapping[str, Iterable[ModelCard]],
        unready: Iterable[str] = (),
    ) -> None:
        """Replaces what the settings say; what the lists of the providers said stays known, of those that stay.

        `unready` are the providers that have no key or no address, so that they cannot be called.
        """
        self.providers = frozenset(providers)
        self.unready = frozenset(unready)
        self.prefixes = prefixes
        self._configured = {provider: by_id(cards) for provider, cards in configured.items()}
        self._cards: dict[str, Cards] = {}
        self.lead(aliases)
        self._take({**self._configured, **self._learned, **self._listed, **self._book})

    def lead(self, aliases: Mapping[str, tuple[str, ...]]) -> None:
        """Replaces the names that lead to `provider/model`."""
        self.aliases = {name: tuple(self._target(entry) for entry in entries) for name, entries in aliases.items()}
        self.revision += 1

    def learn(self, provider: str, cards: Iterable[ModelCard]) -> None:
        """Replaces what a provider said to this process; configured models stay."""
        self._learned[provider] = by_id(cards)
        self._learned_us[provider] = time_ns() // 1000
        self._take((provider,))

    def remember(self, listed: Iterable[ModelCard], book: Iterable[ModelCard]) -> None:
        """Replaces what is stored: the providers' lists, whose models are there, and the book, which only tells of
        models. Rows of providers that are configured no longer are passed over."""
        before = {*self._listed, *self._book}
        self._listed, self._book = self._by_provider(listed), self._by_provider(book)
        self._take({*before, *self._listed, *self._book})

    def restrict(self, whitelist: Whitelist) -> None:
        """Replaces the whitelist."""
        self.whitelist = whitelist
        self.revision += 1

    def known(self, model: str) -> tuple[Target, ...]:
        """Targets of every provider whose list has this very name."""
        return self._known.get(model, ())

    def cards(self) -> list[ModelCard]:
        """All rows that may be called, aliases too, sorted by id; a name that several providers have comes once."""
        if self._shown_at != self.revision:
            self._shown, self._shown_at = self._once(self._allowed()), self.revision
        return self._shown

    def complete(self) -> list[ModelCard]:
        """The same, whatever the whitelist says."""
        return self._once(self._all())

    def card(self, model: str) -> ModelCard | None:
        """The row of a name that may be called."""
        for target in self.aliases.get(model) or self.known(model):
            if self.whitelist.allows(model, target):
                return self._named(model, target)
        return None

    def near(self, model: str) -> list[str]:
        """Up to three names that may be called and resemble a wrong one."""
        start = model[:2].lower()
        names = {name.removesuffix(":latest") for name in (card.id for card in self.cards())}
        alike = sorted(names, key=lambda name: name[:2].lower() != start)
        return get_close_matches(model[:NEAR_CHARS], alike[:NEAR_AMONG], n=3, cutoff=0.5)

    def _take(self, providers: Iterable[str]) -> None:
        """Takes in what changed of these providers."""
        for provider in (provider for provider in providers if provider in self.providers):
            self._cards[provider] = {model: self._merged(provider, model) for model in self._models(provider)}
        known: dict[str, list[Target]] = {}
        for name, models in self._cards.items():
            for model in models:
                known.setdefault(model, []).append(Target(name, model))
                if model.endswith(":latest"):
                    known.setdefault(model.removesuffix(":latest"), []).append(Target(name, model))
        self._known = {model: tuple(targets) for model, targets in known.items()}
        self.revision += 1

    def _models(self, provider: str) -> Iterator[str]:
        """The names of the models that a provider has: the newer of its two lists says, and the settings do."""
        listed = self._listed.get(provider, {})
        fetched_us = max((card.fetched_us for card in listed.values()), default=-1)
        newer = listed if fetched_us > self._learned_us.get(provider, -1) else self._learned.get(provider, {})
        return iter({**newer, **self._configured.get(provider, {})})

    def _merged(self, provider: str, model: str) -> ModelCard:
        card = ModelCard(id=model, provider=provider)
        for rows in (self._configured, self._learned, self._listed, self._book):
            row = rows.get(provider, {}).get(model)
            if row is not None:
                card = card.over(row)
        return card

    def _all(self) -> Iterator[tuple[ModelCard, Target]]:
        for alias, targets in self.aliases.items():
            yield from ((self._named(alias, target), target) for target in targets)
        for provider, models in self._cards.items():
            yield from ((card, Target(provider, model)) for model, card in models.items())

    def _allowed(self) -> Iterator[tuple[ModelCard, Target]]:
        return ((card, target) for card, target in self._all() if self.whitelist.allows(card.id, target))

    def price(self, target: Target) -> float | None:
        """US dollars for 1,000 tokens in and 1,000 out; None where nobody said both."""
        card = self._cards.get(target.provider, {}).get(target.model)
        if card is None or card.prompt_price_per_1k is None or card.completion_price_per_1k is None:
            return None
        return card.prompt_price_per_1k + card.completion_price_per_1k

    @staticmethod
    def _once(rows: Iterable[tuple[ModelCard, Target]]) -> list[ModelCard]:
        first: Cards = {}
        for card, _ in rows:
            first.setdefault(card.id, card)
        return [first[name] for name in sorted(first)]

    def _named(self, name: str, target: Target) -> ModelCard:
        """What is known of a target's model, under the name that leads to it."""
        row = self._cards.get(target.provider, {}).get(target.model) or self._merged(target.provider, target.model)
        return row if row.id == name else replace(row, id=name, name=target.model)

    def _by_provider(self, cards: Iterable[ModelCard]) -> dict[str, Cards]:
        found: dict[str, Cards] = {}
        for card in cards:
            if card.provider in self.providers:
                found.setdefault(card.provider, {})[card.id] = card
        return found

    def _target(self, entry: str) -> Target:
        provider, _, model = entry.partition("/")
        return Target(provider, model)


def by_id(cards: Iterable[ModelCard]) -> Cards:
    return {card.id: card for card in cards}
