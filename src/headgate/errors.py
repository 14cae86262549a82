"""The error family: every failure that headgate can name, with the facts a door needs to answer it.

HeadgateError
├── ConfigError                     start-up only: a setting is wrong; names its source and what was expected
├── CallerError                     the request is at fault; no other target would help
│   ├── BadRequest              400
│   │   ├── BodyTooLarge        413
│   │   ├── HeadTooLarge        431
│   │   └── RequestTooSlow      408  the request was not whole in time
│   ├── NotAuthenticated        401
│   ├── NotAllowed              403
│   ├── NotFound                404
│   │   └── ModelNotFound       404
│   │       └── ModelNotAllowed 404  it may be there, but not on the whitelist
│   ├── MethodNotAllowed        405
│   ├── DeadlinePassed          504  the time that the caller itself gave is over
│   ├── StillRunning            409  the request with this idempotency key is under way: try again
│   ├── KeyUsedOtherwise        422  this idempotency key belongs to another request
│   └── ClientLeft              499  the caller closed the connection before its answer was whole
├── HouseError                      headgate itself cannot serve just now
│   ├── ProviderNotConfigured   503  a key or an address is missing: names the variable
│   ├── WireNotServed           400  no target of the plan can carry what was asked
│   ├── TooManyConnections      503  as many callers are connected as there may be
│   ├── Interrupted             503  headgate stops, and the time for answers that had begun is over
│   ├── KeysUnavailable         503  an unknown key cannot be checked because the database does not answer
│   ├── JournalUnavailable      503  nothing is served that could not be accounted for
│   ├── StorageUnavailable      503  the database or Redis does not answer, is locked, full or read-only: try again
│   ├── StorageRefused          500  the database answers, and says that this row cannot be kept
│   └── InternalError           500
└── UpstreamError                   a provider failed; carries what it said
    ├── UpstreamUnreachable     502  reset before the answer
    │   └── NotConnected        502  refused, DNS, TLS: nothing was sent
    ├── UpstreamTimeout         504
    ├── UpstreamAuthFailed      502  our credential was refused: our fault, never the caller's
    ├── UpstreamRateLimited     429
    ├── UpstreamRefused         4xx  the provider refused this request: passed on, not retried
    │   ├── ContextTooLong      400  it is too long for the model
    │   └── ContentFiltered     400  a filter of the provider's refused it
    ├── UpstreamFailed          5xx  the provider failed: answered as 502, or 503 when overloaded
    └── UpstreamProtocolError   502  junk, an empty answer, a broken frame
        └── StreamCut           502  a stream ended before its own end mark
"""

from __future__ import annotations

import logging
from typing import ClassVar


class HeadgateError(Exception):
    """A failure with everything that a door needs: status, code, type, level, and whether another target would help."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    type: ClassVar[str] = "api_error"
    level: ClassVar[int] = logging.WARNING
    elsewhere: ClassVar[bool] = False
    """Would another target help?"""

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code_said = code or self.code

    @property
    def status_said(self) -> int:
        """The HTTP status for the caller; an upstream's own where it is passed on."""
        return self.status

    @property
    def retry_helps(self) -> bool:
        """Whether the caller's client should try again: not when our setup is at fault."""
        return True

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Headers that belong to this error, such as `www-authenticate` or `retry-after`."""
        return []


class ConfigError(HeadgateError):
    """A setting that cannot be used. The message names its file and line (or variable) and what was expected.

    `keys` is the way to the setting, where it is one setting that is at fault.
    """

    code = "config_error"
    level = logging.ERROR

    def __init__(self, message: str, keys: tuple[str, ...] = ()) -> None:
        super().__init__(message, param=".".join(keys).replace(".[", "[") or None)
        self.keys = keys


class CallerError(HeadgateError):
    status = 400
    code = "invalid_request"
    type = "invalid_request_error"
    level = logging.INFO


class BadRequest(CallerError):
    """`param` is the path to the field at fault, such as `messages[2].content`."""


class BodyTooLarge(BadRequest):
    status = 413
    code = "request_too_large"


class HeadTooLarge(BadRequest):
    status = 431
    code = "request_headers_too_large"


class RequestTooSlow(BadRequest):
    status = 408
    code = "request_timeout"


class NotAuthenticated(CallerError):
    status = 401
    code = "invalid_api_key"
    type = "authentication_error"

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        return [(b"www-authenticate", b"Bearer")]


class NotAllowed(CallerError):
    status = 403
    code = "forbidden"
    type = "permission_error"


class NotFound(CallerError):
    status = 404
    code = "not_found"


class ModelNotFound(NotFound):
    code = "model_not_found"


class ModelNotAllowed(ModelNotFound):
    """For the caller the same as a model that is not there."""


class MethodNotAllowed(CallerError):
    status = 405
    code = "method_not_allowed"

    def __init__(self, message: str, *, allow: str) -> None:
        super().__init__(message)
        self.allow = allow

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        return [(b"allow", self.allow.encode())]


class DeadlinePassed(CallerError):
    status = 504
    code = "deadline_passed"
    type = "timeout_error"

    @property
    def retry_helps(self) -> bool:
        return False


class StillRunning(CallerError):
    status = 409
    code = "idempotency_key_in_use"


class KeyUsedOtherwise(CallerError):
    status = 422
    code = "idempotency_key_reused"


class ClientLeft(CallerError):
    status = 499
    code = "client_left"


class HouseError(HeadgateError):
    status = 503
    code = "service_unavailable"


class ProviderNotConfigured(HouseError):
    code = "provider_not_configured"
    elsewhere = True

    @property
    def retry_helps(self) -> bool:
        return False


class WireNotServed(HouseError):
    status = 400
    code = "not_supported_by_model"
    type = "invalid_request_error"
    level = logging.INFO
    elsewhere = True


class TooManyConnections(HouseError):
    code = "too_many_connections"

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        return [(b"retry-after", b"1")]


class Interrupted(HouseError):
    code = "interrupted"


class KeysUnavailable(HouseError):
    code = "keys_unavailable"
    level = logging.ERROR


class JournalUnavailable(HouseError):
    code = "journal_unavailable"
    level = logging.ERROR


class StorageUnavailable(HouseError):
    code = "storage_unavailable"
    level = logging.ERROR


class StorageRefused(HouseError):
    status = 500
    code = "storage_refused"
    level = logging.ERROR


class InternalError(HouseError):
    status = 500
    code = "internal_error"
    level = logging.ERROR


class UpstreamError(HeadgateError):
    """A provider's failure.

    `upstream_status` is what it answered (0: no answer). `retry_after_s` is its own wish, clamped to 0…3600.
    """

    status = 502
    code = "upstream_error"
    type = "upstream_error"
    elsewhere = True

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        upstream_status: int = 0,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, param=param, code=code)
        self.upstream_status = upstream_status
        self.retry_after_s = None if retry_after_s is None else min(max(retry_after_s, 0.0), 3600.0)

    @property
    def retry_helps(self) -> bool:
        """Not once it reaches a caller: by then our own retries and other targets are spent."""
        return False

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        if self.retry_after_s is None:
            return []
        return [
            (b"retry-after", b"%d" % -(-self.retry_after_s // 1)),
            (b"retry-after-ms", b"%d" % (self.retry_after_s * 1000)),
        ]


class UpstreamUnreachable(UpstreamError):
    code = "upstream_unreachable"


class NotConnected(UpstreamUnreachable):
    """There was no connection: the call may be repeated, as the provider has not seen it."""


class UpstreamTimeout(UpstreamError):
    status = 504
    code = "upstream_timeout"
    type = "timeout_error"


class UpstreamAuthFailed(UpstreamError):
    code = "upstream_auth_error"
    level = logging.ERROR


class UpstreamRateLimited(UpstreamError):
    status = 429
    code = "rate_limit_exceeded"
    type = "rate_limit_error"

    @property
    def retry_helps(self) -> bool:
        return self.code_said != "insufficient_quota"


class UpstreamRefused(UpstreamError):
    """The provider says that this request is wrong. Its status (400, 404, 409, 413, 422 …) is passed on."""

    code = "upstream_refused"
    type = "invalid_request_error"
    level = logging.INFO
    elsewhere = False

    @property
    def retry_helps(self) -> bool:
        return True

    @property
    def status_said(self) -> int:
        return self.upstream_status if 400 <= self.upstream_status < 500 else 400


class ContextTooLong(UpstreamRefused):
    code = "context_length_exceeded"


class ContentFiltered(UpstreamRefused):
    code = "content_filter"


class UpstreamFailed(UpstreamError):
    """The provider failed (5xx). Overload (503, 529) is said as 503, everything else as 502."""

    code = "upstream_failed"

    @property
    def status_said(self) -> int:
        return 503 if self.upstream_status in (503, 529) else 502


class UpstreamProtocolError(UpstreamError):
    code = "upstream_protocol_error"


class StreamCut(UpstreamProtocolError):
    code = "upstream_stream_cut"
