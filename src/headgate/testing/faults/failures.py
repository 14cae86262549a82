"""Faults that a careful server makes too: statuses, silence, junk, errors in a stream, broken connections."""

from __future__ import annotations

import asyncio
from email.utils import formatdate
from time import time
from typing import Literal

import msgspec

from headgate.testing.answers import Piece, Refused, Reply
from headgate.testing.dialects.base import JSON, encode
from headgate.testing.exchange import Exchange
from headgate.testing.faults.base import Fault
from headgate.testing.http1 import Framing, frame, head, tail


class Status(Fault, frozen=True):
    """An error status in the dialect's own shape (or with `body` as it is). Redirects take a `location`.

    `retry_after` goes out as it stands: `7`, `-5`, `99999999999`, a date; `retry_date_s` makes a date so far from now.
    """

    name = "status"
    status: int = 500
    message: str = "The fake was told to fail."
    code: str = ""
    kind: str = ""
    retry_after: str = ""
    retry_after_ms: str = ""
    retry_date_s: float | None = None
    location: str = ""
    body: str | None = None

    async def play(self, exchange: Exchange) -> None:
        reply = exchange.refusal(Refused(self.status, self.message, kind=self.kind, code=self.code))
        date = "" if self.retry_date_s is None else formatdate(time() + self.retry_date_s, usegmt=True)
        said = {
            "retry-after": self.retry_after or date,
            "retry-after-ms": self.retry_after_ms,
            "location": self.location,
        }
        reply = msgspec.structs.replace(
            reply, headers=reply.headers | {name: value for name, value in said.items() if value}
        )
        if self.body is not None:
            reply = msgspec.structs.replace(reply, pieces=[Piece(self.body.encode())])
        await exchange.send(reply)


class Quota(Fault, frozen=True):
    """429 with OpenAI's second meaning: `insufficient_quota`, this account has nothing left."""

    name = "quota"

    async def play(self, exchange: Exchange) -> None:
        said = "You exceeded your current quota."
        await exchange.send(exchange.refusal(Refused(429, said, kind="insufficient_quota", code="insufficient_quota")))


class NearLimit(Fault, frozen=True):
    """The honest answer, whose headers say that so many requests are left until the counter begins anew."""

    name = "near_limit"
    remaining: int = 0
    reset: str = "30s"

    async def play(self, exchange: Exchange) -> None:
        reply = exchange.reply()
        said = {
            "x-ratelimit-limit-requests": "1000",
            "x-ratelimit-remaining-requests": str(self.remaining),
            "x-ratelimit-reset-requests": self.reset,
        }
        await exchange.send(msgspec.structs.replace(reply, headers=reply.headers | said))


class Loading(Fault, frozen=True):
    """503 with `estimated_time`, as HuggingFace answers while a model loads."""

    name = "loading"
    estimated_s: float = 20.0

    async def play(self, exchange: Exchange) -> None:
        said = f"Model {exchange.entry.model} is currently loading"
        body = encode({"error": said, "estimated_time": self.estimated_s})
        await exchange.send(Reply(503, JSON, [Piece(body)]))


class KeyEcho(Fault, frozen=True):
    """An error whose message holds the key that was sent."""

    name = "key_echo"
    status: int = 401

    async def play(self, exchange: Exchange) -> None:
        key = exchange.dialect.credential(exchange.call.headers)
        await exchange.send(exchange.refusal(Refused(self.status, f"Incorrect API key provided: {key}")))


class Silence(Fault, frozen=True):
    """Nothing at all: for `seconds`, then the honest answer; 0 means until the client leaves."""

    name = "silence"
    seconds: float = 0.0

    async def play(self, exchange: Exchange) -> None:
        await _still(exchange, self.seconds)
        await exchange.send(exchange.reply())


class Stall(Fault, frozen=True):
    """Silence in the middle, after so many events (0: after the head): for `seconds`, or until the client leaves."""

    name = "stall"
    after: int = 1
    seconds: float = 0.0

    async def play(self, exchange: Exchange) -> None:
        reply = exchange.reply()
        await exchange.start(reply, "chunked")
        await exchange.put(reply.pieces[: self.after])
        await _still(exchange, self.seconds)
        await exchange.put(reply.pieces[self.after :], last=reply)


class Junk(Fault, frozen=True):
    """200 with something that is no answer. `error` is the dialect's error object, `half` JSON that breaks off."""

    name = "junk"
    kind: Literal["text", "html", "empty", "error", "null", "half", "bytes"] = "text"

    async def play(self, exchange: Exchange) -> None:
        html = b"<!doctype html><title>502 Bad Gateway</title><h1>Bad Gateway</h1>"
        error = exchange.refusal(Refused(500, "The fake was told to fail.")).body
        bodies = {
            "text": b"upstream connect error",
            "html": html,
            "empty": b"",
            "error": error,
            "null": b"null",
            "half": error[: len(error) // 2],
            "bytes": bytes(range(256)),
        }
        headers = {"content-type": "text/html"} if self.kind == "html" else JSON
        await exchange.send(Reply(200, headers, [Piece(bodies[self.kind])]))


class ErrorEvent(Fault, frozen=True):
    """A stream that fails by an event of the dialect after so many events of the answer; 0: it is the first."""

    name = "error_event"
    after: int = 0
    status: int = 502
    message: str = "The provider disconnected."
    code: str = ""
    kind: str = ""

    async def play(self, exchange: Exchange) -> None:
        reply = exchange.reply()
        await exchange.start(reply, "chunked")
        await exchange.put(reply.pieces[: self.after])
        error = exchange.dialect.error_event(
            exchange.call, Refused(self.status, self.message, kind=self.kind, code=self.code)
        )
        await exchange.put([Piece(error)])
        await exchange.end()


class Cut(Fault, frozen=True):
    """The honest answer up to so many bytes of its body, then the end: FIN, RST, or (`clean`) the framing's own.

    A `length` framing promises the whole body; with `close` and `clean` alike the break shows only in the dialect.
    An RST overtakes bytes that the client's kernel has not taken yet: keep such a cut within a few kibibytes.
    """

    name = "cut"
    after_bytes: int = 0
    how: Literal["fin", "rst", "clean"] = "fin"
    framing: Framing = "chunked"

    async def play(self, exchange: Exchange) -> None:
        reply = exchange.reply()
        await exchange.start(reply, self.framing)
        await exchange.put(_first_bytes(reply.pieces, self.after_bytes))
        if self.how == "clean":
            await exchange.end()
        elif self.how == "rst":
            exchange.line.reset()
        else:
            exchange.line.close()


class Reset(Fault, frozen=True):
    """The connection breaks before any byte of an answer."""

    name = "reset"
    how: Literal["fin", "rst"] = "rst"

    async def play(self, exchange: Exchange) -> None:
        exchange.line.reset() if self.how == "rst" else exchange.line.close()


class Drip(Fault, frozen=True):
    """The honest answer, head included, one byte every so many seconds."""

    name = "drip"
    every_s: float = 0.0

    async def play(self, exchange: Exchange) -> None:
        reply = exchange.reply()
        framing: Framing = "chunked" if reply.stream else "length"
        exchange.entry.status = reply.status
        parts = [head(reply.status, reply.headers, framing, len(reply.body))]
        parts += [frame(framing, piece.data) for piece in reply.pieces] + [tail(framing)]
        *most, final = b"".join(parts)
        for byte in most:
            await exchange.line.send(bytes([byte]))
            await asyncio.sleep(self.every_s)
        exchange.settle(reply)
        await exchange.line.send(bytes([final]))


async def _still(exchange: Exchange, seconds: float) -> None:
    await (asyncio.sleep(seconds) if seconds else exchange.line.silence())


def _first_bytes(pieces: list[Piece], size: int) -> list[Piece]:
    kept: list[Piece] = []
    for piece in pieces:
        if size < len(piece.data):
            return [*kept, Piece(piece.data[:size])]
        kept.append(piece)
        size -= len(piece.data)
    return kept
