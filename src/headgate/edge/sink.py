"""The caller's side of an HTTP exchange: a bounded body in, a whole answer or a stream out."""

from __future__ import annotations

from time import monotonic
from urllib.parse import quote

from headgate.edge.departure import Stay
from headgate.edge.reply import JSON, Headers, Message, Send
from headgate.engine.exchange import Served
from headgate.errors import BodyTooLarge, ClientLeft
from headgate.wire.base import Wire

VALUE_CHARS = 1024
"""How much of a caller's or provider's word a header repeats."""


class HttpSink:
    """Sends an answer through ASGI, with the headers that tell the truth about it."""

    __slots__ = ("_ids", "_send", "_stay", "begun", "ended")

    def __init__(self, send: Send, request_id: str, wire: Wire, stay: Stay) -> None:
        self._send = send
        said = request_id.encode()
        self._ids = [(name, said) for name in wire.request_id_headers]
        self._stay = stay
        self.begun = False
        self.ended = False

    async def whole(self, body: bytes, served: Served) -> None:
        headers = [JSON, (b"content-length", b"%d" % len(body)), *self._headers(served)]
        self.begun = self.ended = True
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        self._stay.over()
        await self._send({"type": "http.response.body", "body": body})

    async def begin(self, media_type: str, served: Served) -> None:
        headers = [
            (b"content-type", media_type.encode()),
            (b"cache-control", b"no-cache"),
            (b"x-accel-buffering", b"no"),
            *self._headers(served),
        ]
        self.begun = True
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def write(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self) -> None:
        self.ended = True
        self._stay.over()
        await self._send({"type": "http.response.body", "body": b""})

    def _headers(self, served: Served) -> Headers:
        headers = [
            *self._ids,
            (b"openai-processing-ms", b"%d" % ((monotonic() - self._stay.since) * 1000)),
            (b"x-headgate-model", header_value(served.model)),
            (b"x-headgate-provider", header_value(served.provider)),
            (b"x-headgate-attempts", b"%d" % served.attempts),
            (b"x-headgate-overhead-ms", b"%.3f" % (served.own_s * 1000)),
            (b"x-headgate-cache", served.cache.encode()),
        ]
        if served.cost_nano is not None:
            headers.append((b"x-headgate-cost", b"%.9f" % (served.cost_nano / 1e9)))
        if served.dropped:
            headers.append((b"x-headgate-dropped", header_value(",".join(served.dropped))))
        return headers


def header_value(text: str) -> bytes:
    """Text as a header may carry it: printable ASCII, the rest percent-encoded."""
    text = text[:VALUE_CHARS]
    if text.isascii() and text.isprintable():
        return text.encode()
    return quote(text, safe=" !\"#$&'()*+,/:;<=>?@[]^`{|}").encode()


class Body:
    """Receives a request's body, up to a limit."""

    __slots__ = ("_length", "_limit", "_stay")

    def __init__(self, stay: Stay, limit: int, length: bytes | None) -> None:
        self._stay = stay
        self._limit = limit
        self._length = length

    async def __call__(self) -> bytes:
        """Raises `BodyTooLarge`: by the declared length at once, else as soon as the limit is passed; `ClientLeft` when
        the caller goes before its body is whole."""
        if self._length is not None and self._length.isdigit() and int(self._length[:20]) > self._limit:
            raise self._too_large()
        message = await self._next()
        body: bytes = message.get("body", b"")
        if message.get("more_body", False):
            body = await self._rest(body)
        self._check(len(body))
        self._stay.body_read = True
        return body

    async def _rest(self, begun: bytes) -> bytes:
        whole, more = bytearray(begun), True
        while more:
            message = await self._next()
            whole += message.get("body", b"")
            self._check(len(whole))
            more = message.get("more_body", False)
        return bytes(whole)

    async def _next(self) -> Message:
        message = await self._stay.receive()
        if message["type"] != "http.request":
            raise ClientLeft("the caller left before its body was whole")
        return message

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise self._too_large()

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(f"the body is larger than {self._limit} bytes, the limit here (server.body_limit)")
