"""The nouns that every room shares: plain frozen structs, no behaviour beyond what their own fields say."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, TypeVar

import msgspec

T = TypeVar("T")


class Secret:
    """A string that shows itself only to `reveal()`: never in a repr, a log, an error or an encoded struct."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(****)"

    __str__ = __repr__

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


Role = Literal["owner", "caller"]


class Caller(msgspec.Struct, frozen=True):
    """Who asks. `key_id` is what a usage row keeps; an `owner` may use the admin routes, a `caller` may not."""

    key_id: str
    name: str
    role: Role = "caller"


DEFAULT = "default"
"""The credential that a provider has when nobody named any."""


class Target(msgspec.Struct, frozen=True):
    """One provider + one upstream model + one credential (by name; the secret stays with the provider)."""

    provider: str
    model: str
    credential: str = DEFAULT


class Way(msgspec.Struct, frozen=True):
    """A target's place in a route: its priority, smaller first, its share among its equals, its number in the route."""

    target: Target
    weight: float = 1.0
    priority: int = 0
    number: int = 0


class Route(msgspec.Struct, frozen=True):
    """A name and the ways from it. `tiers` are in order; `strategy` chooses inside each.

    `instead` are the routes to take when a target refuses a request with one of these codes: they end, in no circle.
    """

    name: str
    tiers: tuple[tuple[Way, ...], ...]
    targets: tuple[Target, ...]
    strategy: str = "priority"
    sticky_s: float = 300.0
    instead: Mapping[str, Route] = MappingProxyType({})


NOWHERE = Route("", (), ())


class Plan(msgspec.Struct, frozen=True):
    """Where a request may go. `why` says which rule found it: route, alias, provider, prefix or catalogue.

    One target needs no `route`; several have one, which says how to choose among them.
    """

    asked: str
    targets: tuple[Target, ...]
    why: str
    route: Route = NOWHERE


class Reloaded(msgspec.Struct, frozen=True):
    """What came of reading the settings again: the names of those that changed, and of those that need a restart."""

    changed: list[str]
    needs_restart: list[str]


class Usage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Tokens of one request. `prompt` includes cached tokens, as OpenAI counts them.

    `cached` were read from the provider's prompt cache, `cache_written` were stored there, `reasoning` are part of
    `completion`. `cost_nano` is the price in nanodollars when the provider itself said it, else None: never a guess.
    `estimated` marks counts that no provider reported.
    """

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    cache_written: int = 0
    reasoning: int = 0
    cost_nano: int | None = None
    estimated: bool = False

    @property
    def total(self) -> int:
        return self.prompt + self.completion


class ModelCard(msgspec.Struct, frozen=True, omit_defaults=True):
    """One row of a model list. Prices are USD for 1,000 tokens; None where nobody said.

    `modality` is what goes in and what comes out, as OpenRouter writes it: `text+image->text`. `abilities` are names
    such as `tools` and `reasoning`. `source` says who told the price and the context length, `fetched_us` when (epoch
    microseconds; 0 for what stands in the settings).
    """

    id: str
    provider: str
    name: str = ""
    created: int = 0
    context_length: int | None = None
    prompt_price_per_1k: float | None = None
    completion_price_per_1k: float | None = None
    kind: str = "text"
    modality: str = ""
    abilities: tuple[str, ...] = ()
    source: str = ""
    fetched_us: int = 0

    @property
    def tells(self) -> bool:
        """Whether it says more of the model than that it is there."""
        return (self.context_length, self.prompt_price_per_1k, self.completion_price_per_1k) != (None, None, None)

    def over(self, other: ModelCard) -> ModelCard:
        """This card with its gaps filled from another one of the same model; the source of either's facts is kept."""
        facts = self if self.tells else other
        return ModelCard(
            id=self.id,
            provider=self.provider,
            name=self.name or other.name,
            created=self.created or other.created,
            context_length=first_said(self.context_length, other.context_length),
            prompt_price_per_1k=first_said(self.prompt_price_per_1k, other.prompt_price_per_1k),
            completion_price_per_1k=first_said(self.completion_price_per_1k, other.completion_price_per_1k),
            kind=self.kind,
            modality=self.modality or other.modality,
            abilities=self.abilities or other.abilities,
            source=facts.source,
            fetched_us=facts.fetched_us,
        )


class Allowed(msgspec.Struct, frozen=True):
    """One row of the whitelist: a model's id, and who serves it (or who made it, as OpenRouter's clients write)."""

    id: str
    provider: str


def first_said(value: T | None, other: T | None) -> T | None:
    """The value, unless nobody said it: then the other."""
    return other if value is None else value


class Record(msgspec.Struct, frozen=True, array_like=True):
    """What one request was: the row that the journal, the database, the log line, the metrics and the traces share.

    Times: `at_us` is epoch microseconds when the request came; the others are durations in microseconds on the
    monotonic clock. `upstream_us` is the time spent waiting for the caller's body and for providers, pauses before a
    repeat and the ends of streams among it, so `total_us - upstream_us` is our own and that of a slow reader.
    `status` is the HTTP status that the caller got: 499 where it left before the end, 0 where the process died before
    the end was known. `error` is the error's code, empty for success. `partial` marks a stream that did not reach its
    own end: its usage is what had passed until then.
    """

    request_id: str
    at_us: int
    key_id: str
    key_name: str
    route: str
    model_asked: str = ""
    model_served: str = ""
    provider: str = ""
    stream: bool = False
    attempts: int = 0
    status: int = 0
    error: str = ""
    partial: bool = False
    usage: Usage | None = None
    first_token_us: int | None = None
    upstream_us: int = 0
    total_us: int = 0
    session: str = ""
