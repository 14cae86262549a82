"""What the data plane says besides model output: JSON bodies, and errors in the dialect of their route. Also what it
hears of a request's headers, and the ids that it gives."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from itertools import count
from secrets import token_hex
from typing import Any

from headgate.errors import HeadgateError
from headgate.wire.base import Wire
from headgate.wire.superset import superset

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
Headers = list[tuple[bytes, bytes]]

JSON = (b"content-type", b"application/json")


_process = token_hex(8)
_number = count(1)


def new_request_id() -> str:
    """An id that no other request has: 64 random bits for the process, then a number."""
    return f"req_{_process}{next(_number):08x}"


HEARD = frozenset(
    (
        b"authorization", b"x-api-key", b"content-length", b"x-claude-code-session-id", b"x-headgate-timeout-ms",
        b"idempotency-key", b"cache-control",
    )
)  # fmt: skip


def said_headers(headers: Headers) -> dict[bytes, bytes]:
    """The headers that the data plane hears. One that comes twice with two values is joined, as HTTP has it: two
    credentials never pass for one."""
    said: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in HEARD:
            said[name] = value if said.get(name, value) == value else said[name] + b", " + value
    return said


async def send_json(send: Send, status: int, body: bytes, headers: Headers) -> None:
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [JSON, length, *headers]})
    await send({"type": "http.response.body", "body": body})


async def send_error(send: Send, error: HeadgateError, wire: Wire, path: str, request_id: str) -> None:
    """Answers an error: exactly the wire's shape under `/v1`, the superset under `/api/v1`."""
    body = superset(error, request_id) if path.startswith("/api/") else wire.error(error, request_id)
    headers = [*((name, request_id.encode()) for name in wire.request_id_headers), *error.headers]
    if not error.retry_helps:
        headers.append((b"x-should-retry", b"false"))
    await send_json(send, error.status_said, body, headers)
