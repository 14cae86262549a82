"""`GET /api/v1/admin/targets` and `GET /api/v1/admin/explain`: how targets do, and where a model's name leads now."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel

from headgate.control.guard import Owner
from headgate.engine.discovery import Discovery
from headgate.routing.explained import explain
from headgate.routing.traffic import Traffic
from headgate.types import Target

router = APIRouter(prefix="/api/v1/admin", tags=["Admin"])


class TargetRow(BaseModel):
    """How one target does in the process that was asked. `breaker` is `closed`, `open` or `half_open`; `state` is the
    same, or `resting` (its credential was refused or is at its limit) or `low` (its limit is near). `first_token_ms` is
    null where nothing was measured."""

    provider: str
    model: str
    credential: str
    routes: list[str]
    breaker: str
    state: str
    reason: str
    failures: int
    in_flight: int
    first_token_ms: float | None


class TargetRows(BaseModel):
    """Every target of a route, and those besides that several targets or a failure made known."""

    data: list[TargetRow]


class PlaceRow(BaseModel):
    """One target's place in a plan, the first being the one that would be tried now."""

    provider: str
    model: str
    credential: str
    priority: int
    weight: float
    state: str
    reason: str


class Explained(BaseModel):
    """`found_by` is route, alias, provider, prefix or catalogue; `instead` the route for each refusal that has one."""

    model: str
    found_by: str
    strategy: str | None
    targets: list[PlaceRow]
    instead: dict[str, str]


@router.get("/targets", summary="How the targets do: breakers, rests, load, speed")
async def targets(request: Request, caller: Owner) -> TargetRows:
    models: Discovery = request.app.state.discovery
    traffic: Traffic = request.app.state.traffic
    routes: dict[Target, list[str]] = {target: [] for target in traffic.conditions}
    for name, route in models.routes.named.items():
        for target in route.targets:
            routes.setdefault(target, []).append(name)
    rows = [_row(target, names, traffic) for target, names in routes.items()]
    return TargetRows(data=sorted(rows, key=lambda row: (row.provider, row.model, row.credential)))


@router.get("/explain", summary="Where a model's name leads now, and why")
async def explained(request: Request, caller: Owner, model: Annotated[str, Query(min_length=1)]) -> Explained:
    models: Discovery = request.app.state.discovery
    traffic: Traffic = request.app.state.traffic
    plan = await models.plan(model)
    places = explain(plan, traffic)
    return Explained(
        model=model,
        found_by=plan.why,
        strategy=plan.route.strategy if len(plan.targets) > 1 else None,
        targets=[
            PlaceRow(
                provider=place.target.provider,
                model=place.target.model,
                credential=place.target.credential,
                priority=place.priority,
                weight=place.weight,
                state=place.state,
                reason=place.reason,
            )
            for place in places
        ],
        instead={code: route.name for code, route in plan.route.instead.items()},
    )


def _row(target: Target, routes: list[str], traffic: Traffic) -> TargetRow:
    condition = traffic.conditions[target]
    state, reason = traffic.standing(target)
    return TargetRow(
        provider=target.provider,
        model=target.model,
        credential=target.credential,
        routes=routes,
        breaker=condition.breaker.state(traffic.clock()),
        state=state,
        reason=reason,
        failures=condition.breaker.failures,
        in_flight=condition.busy,
        first_token_ms=condition.first_token_s * 1000 or None,
    )
