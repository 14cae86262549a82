"""Errors of the messages wire: ours as Anthropic writes them, and those of a provider as it sends them with a 200."""

from __future__ import annotations

from typing import Literal

import msgspec

from headgate.errors import HeadgateError, UpstreamError, UpstreamFailed, UpstreamRateLimited
from headgate.wire import sse
from headgate.wire.base import encode

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    409: "invalid_request_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
"""Anthropic's error type for each status; any other is `api_error`."""


class ErrorFacts(msgspec.Struct, frozen=True):
    """What went wrong."""

    type: str
    message: str


class ErrorBody(msgspec.Struct, frozen=True):
    """An error as Anthropic's clients read it."""

    type: Literal["error"]
    error: ErrorFacts
    request_id: str


class FailureSeen(msgspec.Struct):
    """An error as a provider sends it."""

    type: str | None = None
    message: str | None = None


def write(error: HeadgateError, request_id: str) -> bytes:
    """An error answer."""
    kind = _TYPES.get(error.status_said, "api_error")
    return encode(ErrorBody("error", ErrorFacts(kind, error.message), request_id))


def write_event(error: HeadgateError, request_id: str) -> bytes:
    """An error inside a stream: clients raise on it, and no `message_stop` follows."""
    return sse.write(write(error, request_id), "error")


def read(seen: FailureSeen | None) -> UpstreamError:
    """A provider's error that came with a 200, whole or inside a stream."""
    seen = seen or FailureSeen()
    message = f"the provider failed: {seen.message or seen.type or 'it gave no reason'}"
    if seen.type == "rate_limit_error":
        return UpstreamRateLimited(message, upstream_status=429)
    return UpstreamFailed(message, upstream_status=529 if seen.type == "overloaded_error" else 0)
