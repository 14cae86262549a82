"""`GET /api/v1/admin/usage`: what was used, row by row, newest first."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel

from headgate.control.guard import Owner
from headgate.ledger.repository import UsageFilter, UsageRepository, moment
from headgate.ledger.shipper import Shipper
from headgate.types import Record, Usage

router = APIRouter(prefix="/api/v1/admin", tags=["Admin"])


class UsageRow(BaseModel):
    """One request. Times in milliseconds, `at` in epoch seconds; counts are null where nobody knows them."""

    request_id: str
    at: float
    key_id: str
    key_name: str
    route: str
    model: str
    model_served: str
    provider: str
    stream: bool
    attempts: int
    status: int
    error: str
    partial: bool
    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None
    cached_tokens: int | None
    cache_written_tokens: int | None
    reasoning_tokens: int | None
    estimated: bool
    cost_usd: float | None
    first_token_ms: float | None
    total_ms: float
    overhead_ms: float
    session: str


class UsageRows(BaseModel):
    """A page; `next_cursor` is null on the last one."""

    data: list[UsageRow]
    next_cursor: str | None


@router.get("/usage", summary="What was used, row by row, newest first")
async def usage(
    request: Request,
    caller: Owner,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: str | None = None,
    key_id: str | None = None,
    model: str | None = None,
    provider: str | None = None,
    status: Annotated[int | None, Query(ge=0, le=999)] = None,
    since: Annotated[str | None, Query(description="Epoch seconds or ISO 8601, inclusive")] = None,
    until: Annotated[str | None, Query(description="The same, exclusive")] = None,
) -> UsageRows:
    rows: UsageRepository = request.app.state.usage
    shipper: Shipper = request.app.state.shipper
    await shipper.flush()
    wanted = UsageFilter(
        key_id=key_id,
        model=model,
        provider=provider,
        status=status,
        since_us=None if since is None else moment(since, "since"),
        until_us=None if until is None else moment(until, "until"),
    )
    page = await rows.page(wanted, limit, cursor)
    return UsageRows(data=[shown(record) for record in page.rows], next_cursor=page.next_cursor)


def shown(record: Record) -> UsageRow:
    used = record.usage
    counts = used or Usage()
    return UsageRow(
        request_id=record.request_id,
        at=record.at_us / 1e6,
        key_id=record.key_id,
        key_name=record.key_name,
        route=record.route,
        model=record.model_asked,
        model_served=record.model_served,
        provider=record.provider,
        stream=record.stream,
        attempts=record.attempts,
        status=record.status,
        error=record.error,
        partial=record.partial,
        prompt_tokens=counts.prompt if used else None,
        completion_tokens=counts.completion if used else None,
        total_tokens=counts.total if used else None,
        cached_tokens=counts.cached if used else None,
        cache_written_tokens=counts.cache_written if used else None,
        reasoning_tokens=counts.reasoning if used else None,
        estimated=counts.estimated,
        cost_usd=None if counts.cost_nano is None else counts.cost_nano / 1e9,
        first_token_ms=None if record.first_token_us is None else record.first_token_us / 1000,
        total_ms=record.total_us / 1000,
        overhead_ms=(record.total_us - record.upstream_us) / 1000,
        session=record.session,
    )
