"""`/api/v1/admin/routes`: routes as they are followed now, changed at run time, version by version, and back again."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel

from headgate.config.routes import RouteSettings
from headgate.config.settings import Layer, Source, fill, near, node_of
from headgate.control.body import bounded
from headgate.control.guard import Owner
from headgate.errors import BadRequest, ConfigError, NotFound
from headgate.routing.changes.overlay import SETTINGS_ALONE, Laid, Version
from headgate.routing.changes.steering import Steering
from headgate.storage.rows import WHOLE_MAX

BODY_BYTES = 256 * 1024
BODY = Source(Layer.FLAG, "the body")

router = APIRouter(prefix="/api/v1/admin/routes", tags=["Admin"])

Name = Annotated[str, Path(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]*$")]
ROUTE = {"$ref": "#/components/schemas/RouteSettings"}
BACK = {
    "type": "object",
    "required": ["version"],
    "additionalProperties": False,
    "properties": {"version": {"type": "integer", "minimum": 0}},
}


def takes(schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


class RouteRow(BaseModel):
    """A route as `PUT` takes it; what is left out has its default. `origin` is `settings` or `run time`."""

    name: str
    origin: str
    route: dict[str, Any]


class RouteNow(RouteRow):
    """The same, and the version of all routes that it is of."""

    version: int


class RouteRows(BaseModel):
    """Every route that is followed. `removed` are routes of the settings that were removed at run time; `left_out` are
    changes that the settings have no room for any more, and why."""

    version: int
    data: list[RouteRow]
    removed: list[str]
    left_out: dict[str, str]


class VersionRow(BaseModel):
    """One change: when (epoch seconds), by whose key, and what it was. Version 0 is the settings alone."""

    version: int
    at: float | None
    key_id: str
    key_name: str
    what: str


class VersionRows(BaseModel):
    """Newest first; `next_before` is null on the last page."""

    data: list[VersionRow]
    next_before: int | None


class Changed(BaseModel):
    """The number of the version that was made."""

    version: int


class Back(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which version to go back to."""

    version: Annotated[int, msgspec.Meta(ge=0, le=WHOLE_MAX)]


@router.get("", summary="List the routes that are followed now")
async def routes(request: Request, caller: Owner) -> RouteRows:
    steering = steering_of(request)
    laid = steering.laid
    return RouteRows(
        version=steering.version.number,
        data=[RouteRow(**row(name, laid)) for name in sorted(laid.routes)],
        removed=sorted(name for name, route in laid.overlay.items() if route is None and laid.changed(name)),
        left_out={name: error.message for name, error in laid.left_out.items()},
    )


@router.get("/versions", summary="List the versions of the routes, newest first")
async def versions(
    request: Request,
    caller: Owner,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before: Annotated[int, Query(ge=0, le=WHOLE_MAX, description="Only versions below this one")] = WHOLE_MAX,
) -> VersionRows:
    found = await steering_of(request).versions.page(limit, before)
    rows = [shown(version) for version in found]
    if len(rows) == limit:
        return VersionRows(data=rows, next_before=rows[-1].version)
    return VersionRows(data=[*rows, shown(SETTINGS_ALONE)] if before else rows, next_before=None)


@router.post("/rollback", summary="Make the routes as they were in a version", openapi_extra=takes(BACK))
async def rollback(request: Request, caller: Owner) -> Changed:
    """Makes a new version that equals an old one; 0 is the settings alone."""
    try:
        back = msgspec.json.decode(await bounded(request, BODY_BYTES), type=Back)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f'expected {{"version": number}}: {error}', param="version") from None
    return Changed(version=(await steering_of(request).roll_back(back.version, caller)).number)


@router.get("/{name:path}", summary="Show one route")
async def route(request: Request, caller: Owner, name: Name) -> RouteNow:
    steering = steering_of(request)
    laid = steering.laid
    if name not in laid.routes:
        raise NotFound(f"there is no route {name!r}.{near(name, laid.routes)}")
    return RouteNow(version=steering.version.number, **row(name, laid))


@router.put("/{name:path}", summary="Add or replace a route", openapi_extra=takes(ROUTE))
async def put(request: Request, caller: Owner, name: Name) -> RouteNow:
    """Every process follows within a second; requests in flight go on as they began."""
    said = read_route(name, await bounded(request, BODY_BYTES))
    try:
        made = await steering_of(request).put(name, said, caller)
    except BadRequest as error:
        raise in_body(name, error.message, error.param or "") from None
    return RouteNow(version=made.number, name=name, origin="run time", route=msgspec.to_builtins(said))


@router.delete("/{name:path}", summary="Remove a route")
async def delete(request: Request, caller: Owner, name: Name) -> Changed:
    """One of the settings is gone until it is put again, or rolled back to."""
    return Changed(version=(await steering_of(request).remove(name, caller)).number)


def steering_of(request: Request) -> Steering:
    found: Steering = request.app.state.steering
    return found


def row(name: str, laid: Laid) -> dict[str, Any]:
    origin = "run time" if laid.changed(name) else "settings"
    return {"name": name, "origin": origin, "route": msgspec.to_builtins(laid.routes[name])}


def shown(version: Version) -> VersionRow:
    return VersionRow(
        version=version.number,
        at=version.at_us / 1e6 if version.number else None,
        key_id=version.key_id,
        key_name=version.key_name,
        what=version.what,
    )


def read_route(name: str, body: bytes) -> RouteSettings:
    """A route as `headgate.yaml` writes it, in JSON. Raises `BadRequest` that names the field."""
    try:
        return fill(RouteSettings, node_of(msgspec.json.decode(body), BODY), ("routes", name))
    except ConfigError as error:
        raise in_body(name, error.message, error.param or "") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the body is not JSON: {error}") from None


def in_body(name: str, message: str, field: str) -> BadRequest:
    """An error whose field is found from the body on, where it is in the body."""
    return BadRequest(message, param=field.removeprefix(f"routes.{name}."))
