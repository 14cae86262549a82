"""The catalogue and the whitelist: `/api/v1/models_complete`, and what stands below `/api/v1/models` besides models."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field, ValidationError

from headgate.control.body import bounded
from headgate.control.guard import Known, Owner
from headgate.edge.models import a_token
from headgate.engine.kept import KeptAnswers
from headgate.engine.sync import Sync
from headgate.errors import BadRequest
from headgate.routing.repository import ModelRepository
from headgate.storage.bus import Bus
from headgate.types import Allowed, ModelCard
from headgate.wire.base import encode

BODY_BYTES = 8 * 1024 * 1024

router = APIRouter(prefix="/api/v1", tags=["Models"])


class ModelRooms(msgspec.Struct, frozen=True):
    """What these routes need of the house."""

    models: ModelRepository
    sync: Sync
    kept: KeptAnswers
    bus: Bus


class CompleteRow(BaseModel):
    """One model; every value is a text, empty where nobody said. Prices are US dollars for one token."""

    id: str
    name: str
    context_length: str
    pricing_prompt: str
    pricing_completion: str


class CompleteRows(BaseModel):
    """The whole catalogue, whatever the whitelist says."""

    data: list[CompleteRow]


class Updated(BaseModel):
    """How many records OpenRouter's list had."""

    message: str


Text = Annotated[str, Field(max_length=256, pattern=r"^[^\x00-\x1f\x7f]*$")]


class WhitelistRow(BaseModel):
    """A model that may be called: its id, and who serves it (or, as OpenRouter's clients write, who made it)."""

    id: Annotated[Text, Field(min_length=1)]
    provider: Text


class WhitelistRows(BaseModel):
    """The whole whitelist."""

    data: list[WhitelistRow]


ROWS = {"$ref": "#/components/schemas/WhitelistRows"}
TAKES_ROWS = {"requestBody": {"required": True, "content": {"application/json": {"schema": ROWS}}}}
"""The body is read by hand, so that nobody but an owner can make us read one."""


@router.get("/models_complete", summary="The whole catalogue with prices", response_model=CompleteRows)
async def models_complete(request: Request, caller: Known) -> Response:
    kept = rooms(request).kept
    return as_json(await kept.answer("models_complete", lambda: complete(kept.catalogue.complete())))


@router.get("/models/update", summary="Fetch OpenRouter's list into the catalogue")
async def update(request: Request, caller: Owner) -> Updated:
    return Updated(message=f"Success! {await rooms(request).sync.one('openrouter')} records processed.")


@router.get("/models/whitelist", summary="Show the whitelist", response_model=WhitelistRows)
async def whitelist(request: Request, caller: Known) -> Response:
    kept = rooms(request).kept
    return as_json(await kept.answer("whitelist", lambda: encode({"data": kept.catalogue.whitelist.rows})))


@router.put("/models/update_whitelist", summary="Replace the whitelist", openapi_extra=TAKES_ROWS)
async def update_whitelist(request: Request, caller: Owner) -> WhitelistRows:
    """Replaces the whole list, or, where one row is bad, nothing. Every process follows within a second."""
    rows = read_rows(await bounded(request, BODY_BYTES))
    house = rooms(request)
    await house.models.set_whitelist([Allowed(row.id, row.provider) for row in rows.data])
    for topic in ("models", "whitelist"):
        await house.bus.publish(topic)
    return rows


def rooms(request: Request) -> ModelRooms:
    found: ModelRooms = request.app.state.models
    return found


def as_json(body: bytes) -> Response:
    return Response(body, media_type="application/json")


def complete(cards: list[ModelCard]) -> bytes:
    rows = [
        {
            "id": card.id,
            "name": card.name or card.id,
            "context_length": str(card.context_length or ""),
            "pricing_prompt": a_token(card.prompt_price_per_1k) or "",
            "pricing_completion": a_token(card.completion_price_per_1k) or "",
        }
        for card in cards
    ]
    return encode({"data": rows})


def read_rows(body: bytes) -> WhitelistRows:
    """Raises `BadRequest` that names the first bad row."""
    try:
        rows = WhitelistRows.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = way(first["loc"])
        raise BadRequest(f"`{field}`: {first['msg']}", param=field) from None
    seen: dict[tuple[str, str], int] = {}
    for place, row in enumerate(rows.data):
        if (before := seen.setdefault((row.id, row.provider), place)) != place:
            raise BadRequest(f"`data[{place}]`: the same row as `data[{before}]`; remove one", param=f"data[{place}]")
    return rows


def way(steps: tuple[int | str, ...]) -> str:
    """The way to a field, such as `data[3].id`; `body` for the whole."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".") or "body"
