"""`GET /v1/models` and `GET /v1/models/{id}`: the catalogue in the shape that every client's model picker reads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs

import msgspec

from headgate.access.gate import Gate
from headgate.edge.reply import Scope, Send, new_request_id, said_headers, send_error, send_json
from headgate.engine.kept import KeptAnswers
from headgate.errors import BadRequest, HeadgateError, MethodNotAllowed
from headgate.routing.plan import not_found
from headgate.types import ModelCard
from headgate.wire.base import encode
from headgate.wire.chat import CHAT


class Pricing(msgspec.Struct):
    """USD for one token, as text."""

    prompt: str | None
    completion: str | None


class Row(msgspec.Struct):
    """One model: OpenAI's four fields first, then what the replaced systems' clients look for, then who told the price
    and the context length, and when (epoch seconds)."""

    id: str
    object: str
    created: int
    owned_by: str
    name: str
    provider: str
    type: str
    status: str
    context_length: int | None
    context_window: int | None
    pricing: Pricing
    cost_per_1k_prompt_tokens: float | None
    cost_per_1k_completion_tokens: float | None
    enabled: bool
    capabilities: list[str]
    modality: str
    source: str
    fetched_at: int | None


class Page(msgspec.Struct):
    """The list, under both names that clients know."""

    object: str
    data: list[Row]
    models: list[Row]
    total: int
    limit: int
    offset: int


class Listing:
    """Answers callers who ask what models there are."""

    def __init__(self, gate: Gate, kept: KeptAnswers) -> None:
        self._gate = gate
        self._kept = kept
        self._catalogue = kept.catalogue

    async def all(self, scope: Scope, send: Send) -> None:
        await self._answer(scope, send, self._list)

    async def one(self, scope: Scope, send: Send) -> None:
        await self._answer(scope, send, self._row)

    async def _answer(self, scope: Scope, send: Send, make: Callable[[Scope], Awaitable[bytes]]) -> None:
        request_id = new_request_id()
        said = said_headers(scope["headers"])
        try:
            if scope["method"] not in ("GET", "HEAD"):
                raise MethodNotAllowed("the model list takes GET only", allow="GET")
            await self._gate.identify(said.get(b"authorization"), said.get(b"x-api-key"))
            await send_json(send, 200, await make(scope), [(b"x-request-id", request_id.encode())])
        except HeadgateError as error:
            await send_error(send, error, CHAT, scope["path"], request_id)

    async def _list(self, scope: Scope) -> bytes:
        if scope["query_string"]:
            return encode(self._page(parse_qs(scope["query_string"].decode("latin-1"))))
        return await self._kept.answer("models", lambda: encode(self._page({})))

    def _page(self, query: dict[str, list[str]]) -> object:
        rows = [row(card) for card in self._catalogue.cards()]
        limit, offset = number(query, "limit", len(rows)), number(query, "offset", 0)
        shown = rows[offset : offset + limit]
        if query.get("shape") == ["list"]:
            return shown
        return Page("list", shown, shown, len(rows), limit, offset)

    async def _row(self, scope: Scope) -> bytes:
        model = scope["path"].partition("/models/")[2]
        card = self._catalogue.card(model)
        if card is None:
            raise not_found(self._catalogue, model)
        return encode(row(card))


def row(card: ModelCard) -> Row:
    prompt, completion = card.prompt_price_per_1k, card.completion_price_per_1k
    return Row(
        id=card.id,
        object="model",
        created=card.created,
        owned_by=card.provider,
        name=card.name or card.id,
        provider=card.provider,
        type=card.kind,
        status="available",
        context_length=card.context_length,
        context_window=card.context_length,
        pricing=Pricing(a_token(prompt), a_token(completion)),
        cost_per_1k_prompt_tokens=prompt,
        cost_per_1k_completion_tokens=completion,
        enabled=True,
        capabilities=list(card.abilities),
        modality=card.modality,
        source=card.source,
        fetched_at=card.fetched_us // 1_000_000 or None,
    )


def a_token(price_per_1k: float | None) -> str | None:
    """USD for one token as text, as OpenRouter's clients read it."""
    return None if price_per_1k is None else f"{price_per_1k / 1000:.12f}".rstrip("0").rstrip(".")


def number(query: dict[str, list[str]], name: str, default: int) -> int:
    """A count from the query. Raises `BadRequest` that names it."""
    said = query.get(name, [str(default)])[-1]
    if not said.isdecimal() or len(said) > 9:
        raise BadRequest(f"`{name}` must be a whole number, 0 or more", param=name)
    return int(said)
