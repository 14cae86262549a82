"""The error body under `/api/v1`: one object in which the clients of all the replaced systems find their field."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from headgate.errors import HeadgateError
from headgate.wire.base import encode


class SupersetFacts(msgspec.Struct):
    message: str
    type: str
    param: str | None
    code: str | None
    details: dict[str, object]
    request_id: str
    timestamp: str
    status_code: int


class Superset(msgspec.Struct):
    """The error body under `/api/v1`: every client of the systems that headgate replaces finds its field."""

    error: SupersetFacts
    code: str | None
    message: str
    request_id: str
    details: dict[str, object]
    detail: str


def superset(error: HeadgateError, request_id: str) -> bytes:
    details: dict[str, object] = {"param": error.param} if error.param else {}
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    facts = SupersetFacts(
        error.message, error.type, error.param, error.code_said, details, request_id, now, error.status_said
    )
    return encode(Superset(facts, error.code_said, error.message, request_id, details, error.message))
