"""The control plane: a FastAPI application for people and their programs; no model call passes through it."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from headgate import __version__
from headgate.access.gate import Gate
from headgate.control import models, reloading, routes, targets, usage
from headgate.control.described import describe
from headgate.control.documents import add_documents
from headgate.control.models import ModelRooms
from headgate.control.reloading import Reload
from headgate.edge.reply import new_request_id
from headgate.engine.discovery import Discovery
from headgate.errors import BadRequest, HeadgateError, InternalError, MethodNotAllowed, NotFound
from headgate.ledger.repository import UsageRepository
from headgate.ledger.shipper import Shipper
from headgate.routing.changes.steering import Steering
from headgate.routing.traffic import Traffic
from headgate.wire.openai import error_body
from headgate.wire.superset import superset

ABOUT = "One gate for every model: OpenAI's routes in front of any provider, with an exact account of what was used."


class ControlPlane(FastAPI):
    """Serves the admin routes, and the documents that describe both planes."""

    def __init__(
        self,
        gate: Gate,
        usage_rows: UsageRepository,
        shipper: Shipper,
        discovery: Discovery,
        traffic: Traffic,
        rooms: ModelRooms,
        steering: Steering,
        reload: Reload,
    ) -> None:
        super().__init__(
            title="headgate",
            version=__version__,
            description=ABOUT,
            redirect_slashes=False,
            docs_url=None,
            redoc_url=None,
        )
        self.state.gate = gate
        self.state.usage = usage_rows
        self.state.shipper = shipper
        self.state.discovery = discovery
        self.state.traffic = traffic
        self.state.models = rooms
        self.include_router(models.router)
        self.state.steering = steering
        self.state.reload = reload
        self.include_router(usage.router)
        self.include_router(targets.router)
        self.include_router(routes.router)
        self.include_router(reloading.router)
        add_documents(self)
        self.add_exception_handler(HeadgateError, answer_error)
        self.add_exception_handler(RequestValidationError, answer_invalid)
        self.add_exception_handler(HTTPException, answer_http)
        self.add_exception_handler(Exception, answer_bug)

    def openapi(self) -> dict[str, Any]:
        if not self.openapi_schema:
            self.openapi_schema = describe(super().openapi())
        return self.openapi_schema


async def answer_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HeadgateError)
    request_id = new_request_id()
    headers = {name.decode(): value.decode() for name, value in error.headers}
    shape = error_body if request.url.path.startswith("/v1/") else superset
    return Response(
        shape(error, request_id),
        error.status_said,
        headers | {"x-request-id": request_id},
        media_type="application/json",
    )


async def answer_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    field = ".".join(str(step) for step in first["loc"][1:]) or None
    return await answer_error(request, BadRequest(f"`{field}`: {first['msg']}", param=field, code="VALIDATION_ERROR"))


async def answer_bug(request: Request, error: Exception) -> Response:
    """The framework logs the traceback; the caller learns that it was not at fault."""
    return await answer_error(request, InternalError("headgate failed; its log says why"))


async def answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allow = (error.headers or {}).get("allow", "GET")
        return await answer_error(request, MethodNotAllowed("this route does not take this method", allow=allow))
    return await answer_error(request, NotFound("there is no such route; /docs lists those that there are"))
