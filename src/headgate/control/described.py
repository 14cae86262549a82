"""Describes the data plane's routes in OpenAPI: their schemas come from the wires' own types, not by hand."""

from __future__ import annotations

from typing import Any

import msgspec

from headgate.config.routes import RouteSettings
from headgate.edge.endpoints import ENDPOINTS, MODELS, Endpoint
from headgate.edge.health import Report
from headgate.edge.models import Page, Row
from headgate.engine.deadline import HEADER, MOST_MS
from headgate.wire.openai import ErrorBody
from headgate.wire.superset import Superset

Document = dict[str, Any]
REF = "#/components/schemas/{name}"
KEYS: list[dict[str, list[str]]] = [{"bearer": []}, {"x-api-key": []}]
SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "x-api-key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
TIMEOUT = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "integer", "minimum": 1, "maximum": MOST_MS},
    "description": "Milliseconds until the answer must be whole; beyond them it is 504.",
}
ERRORS = {
    400: "The request is wrong; `param` names the field.",
    401: "No key, or an unknown one.",
    404: "No such model.",
    409: "The first request with this `Idempotency-Key` is still running.",
    413: "The body is too large.",
    422: "This `Idempotency-Key` belongs to another request.",
    429: "The provider's limit is reached.",
    502: "The provider failed.",
    503: "The provider has no key here, or headgate cannot serve now.",
    504: "The provider took too long.",
}


def describe(document: Document) -> Document:
    """Adds the data plane to an OpenAPI document, and returns it."""
    shapes = {shape for row in ENDPOINTS for shape in (row.request, row.reply, row.chunk) if shape is not None}
    ordered = sorted(shapes | {ErrorBody, Superset, Page, Row, Report, RouteSettings}, key=lambda shape: shape.__name__)
    _, schemas = msgspec.json.schema_components(ordered, schema_hook=anything, ref_template=REF)
    components = document.setdefault("components", {})
    components.setdefault("schemas", {}).update(schemas)
    components["securitySchemes"] = SECURITY
    paths = {row.path: {"post": inference(row)} for row in ENDPOINTS}
    for path in MODELS:
        paths[path] = {"get": listing(path)}
        paths[path + "/{model}"] = {"get": one_model(path)}
    paths |= {path: {"get": page} for path, page in HEALTH.items()}
    document["paths"] = {**paths, **document.get("paths", {})}
    return document


def anything(kind: type) -> Document:
    """The schema of `object`: any JSON value."""
    if kind is object:
        return {"description": "Any JSON value."}
    raise NotImplementedError(f"a wire's document holds a {kind}")


def inference(row: Endpoint) -> Document:
    content = {"application/json": {"schema": ref(row.reply)}}
    if row.chunk is not None:
        content["text/event-stream"] = {"schema": ref(row.chunk)}
    return {
        "tags": ["Inference"],
        "summary": row.summary,
        "operationId": operation("post", row.path),
        "security": KEYS,
        "parameters": [TIMEOUT, header("Idempotency-Key", REPEATED), header("Cache-Control", KEPT)],
        "requestBody": {"required": True, "content": {"application/json": {"schema": ref(row.request)}}},
        "responses": {
            "200": {"description": "The answer; a stream of events when `stream` is true.", "content": content}
        }
        | errors(row.path),
    }


def header(name: str, description: str) -> Document:
    return {"name": name, "in": "header", "schema": {"type": "string"}, "description": description}


REPEATED = (
    "1 to 255 printable ASCII characters. The same request with the same key is called once: while it runs, others get "
    "409; later its answer."
)
KEPT = "`no-store`, `no-cache` or `max-age=N`, where answers are kept (`cache.ttl_s`)."


def listing(path: str) -> Document:
    number = {"type": "integer", "minimum": 0}
    return {
        "tags": ["Models"],
        "summary": "List the models",
        "operationId": operation("get", path),
        "security": KEYS,
        "parameters": [
            {"name": "limit", "in": "query", "schema": number},
            {"name": "offset", "in": "query", "schema": number},
            {"name": "shape", "in": "query", "schema": {"enum": ["list"]}, "description": "The bare list of rows."},
        ],
        "responses": {"200": answer("The models", Page)} | errors(path, 400, 401),
    }


def one_model(path: str) -> Document:
    return {
        "tags": ["Models"],
        "summary": "Show one model",
        "operationId": operation("get", path + "/model"),
        "security": KEYS,
        "parameters": [{"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}],
        "responses": {"200": answer("The model", Row)} | errors(path, 401, 404),
    }


def errors(path: str, *statuses: int) -> Document:
    shape = Superset if path.startswith("/api/") else ErrorBody
    return {str(status): answer(ERRORS[status], shape) for status in statuses or ERRORS}


def answer(description: str, shape: type[msgspec.Struct]) -> Document:
    return {"description": description, "content": {"application/json": {"schema": ref(shape)}}}


def ref(shape: type[msgspec.Struct]) -> Document:
    return {"$ref": REF.format(name=shape.__name__)}


def operation(method: str, path: str) -> str:
    return method + path.replace("/", "_")


def health(summary: str, responses: Document) -> Document:
    return {"tags": ["Health"], "summary": summary, "responses": responses}


HEALTH = {
    "/health/live": health("Whether the process answers", {"200": {"description": "It does"}}),
    "/health/ready": health(
        "Whether it may be sent requests", {"200": answer("It may", Report), "503": answer("Not now", Report)}
    ),
    "/health": health("Its parts, one by one", {"200": answer("The report", Report)}),
    "/api/v1/health": health("Its parts, one by one", {"200": answer("The report", Report)}),
    "/metrics": health("Metrics for Prometheus", {"200": {"description": "Text exposition format"}}),
}
