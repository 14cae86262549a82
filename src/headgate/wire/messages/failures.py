"""Errors of the messages wire: ours as Anthropic writes them, and those of a provider as it sends them with a 200."""

from __future__ import annotations

from typing import Literal

import msgspec

from headgate.errors import HeadgateError, UpstreamError, UpstreamFailed, UpstreamRefused
from headgate.wire import sse
from headgate.wire.base import encode
from headgate.wire.refusals import told

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
    """A provider's error where a whole answer should be: a failure, as a 200 is no way to refuse a request."""
    failure = read_event(seen)
    if isinstance(failure, UpstreamRefused):
        return UpstreamFailed(failure.message, upstream_status=failure.upstream_status)
    return failure


def read_event(seen: FailureSeen | None) -> UpstreamError:
    """A provider's error inside a stream, as what it is."""
    seen = seen or FailureSeen()
    return told(f"the provider failed: {seen.message or seen.type or 'it gave no reason'}", "", seen.type or "")
