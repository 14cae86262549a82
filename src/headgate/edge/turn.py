"""One request and its answer as ASGI has them: `receive` and `send` of the application, bytes on the connection."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import Protocol

from headgate.edge.deferred import App
from headgate.edge.outgoing import Outgoing
from headgate.edge.reply import Headers, Message, Scope
from headgate.errors import HeadgateError, InternalError
from headgate.wire.openai import error_body

log = logging.getLogger("headgate.edge")

_STATUS = {status.value: f"HTTP/1.1 {status.value} {status.phrase}".encode() for status in HTTPStatus}
_BODILESS = (204, 304)
_field = b": ".join
_LEFT: Message = {"type": "http.disconnect"}
_END = b"0\r\n\r\n"


class Line(Protocol):
    """The connection as a turn uses it."""

    @property
    def date(self) -> Headers: ...

    def resume_reading(self) -> None: ...

    def over(self, turn: Turn) -> None: ...

    def close(self) -> None: ...


class Turn:
    """One request: its body waits here for the application, its answer goes to the line. `held` counts body bytes."""

    __slots__ = (
        "_answered", "_chunked", "_expects", "_left", "_line", "_news", "_old", "_out", "_pieces", "_promised",
        "_scope", "_told", "_whole", "begun", "held", "keep_alive", "task",
    )  # fmt: skip

    def __init__(self, line: Line, out: Outgoing, scope: Scope, *, keep_alive: bool, expects: bool) -> None:
        self._line = line
        self._out = out
        self._scope = scope
        self._expects = expects
        self._old = False
        self._pieces: list[bytes] = []
        self._whole = False
        self._told = False
        """The application has the whole body."""
        self._left = False
        self._answered = False
        self._chunked = False
        self._promised = -1
        """Body bytes that the answer's head has announced and that were not sent yet; -1: none was announced."""
        self._news: asyncio.Future[None] | None = None
        self.keep_alive = keep_alive
        self.begun = False
        self.held = 0
        self.task: asyncio.Task[None] | None = None

    def be_old(self) -> None:
        """The client speaks HTTP/1.0: no chunks, one request a connection."""
        self._old = True
        self._expects = self.keep_alive = False

    def give(self, body: bytes) -> None:
        """A piece of the body came."""
        if not self._answered:
            self._pieces.append(body)
            self.held += len(body)
            self._wake()

    def complete(self) -> None:
        """The body is whole."""
        self._whole = True
        self._wake()

    def leave(self) -> None:
        """The client is gone: nothing of the answer matters any more."""
        self._left = True
        self._wake()

    def _wake(self) -> None:
        news, self._news = self._news, None
        if news is not None and not news.done():
            news.set_result(None)

    async def run(self, app: App, tasks: set[asyncio.Task[None]]) -> None:
        """Calls the application; what it leaves undone is answered with 500, or ends the connection in the middle."""
        try:
            await app(self._scope, self.receive, self.send)
        except asyncio.CancelledError:
            self._give_up("the request was interrupted", None)
            raise
        except Exception as error:
            self._give_up("the application failed", error)
        else:
            if not self._answered:
                self._give_up("the application did not answer", None)
        finally:
            if self.task is not None:
                tasks.discard(self.task)

    def _give_up(self, why: str, error: Exception | None) -> None:
        if self._answered or self._left:
            return
        log.error("%s %s: %s", self._scope["method"], self._scope["path"], why, exc_info=error)
        if not self.begun:
            self._out.write(plain_answer(InternalError("headgate failed; its log says why"), self._line.date))
        self._left = True
        self._line.close()

    async def receive(self) -> Message:
        """The ASGI application's `receive`."""
        if self._expects and not (self.begun or self._left):
            self._expects = False
            self._out.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        while not (self._left or self._answered):
            if not self._told and (self._pieces or self._whole):
                return self._message()
            if not self._whole:
                self._line.resume_reading()
            self._news = asyncio.get_running_loop().create_future()
            await self._news
        return _LEFT

    def _message(self) -> Message:
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self.held = 0
        self._told = self._whole
        if not self._whole:
            self._line.resume_reading()
        return {"type": "http.request", "body": body, "more_body": not self._whole}

    async def send(self, message: Message) -> None:
        """The ASGI application's `send`. Raises `RuntimeError` for a message that is out of turn or breaks HTTP."""
        if self._out.full and not self._left:
            await self._out.room()
        if self._left:
            return
        if message["type"] == "http.response.body" and self.begun and not self._answered:
            self._send_body(message.get("body", b""), message.get("more_body", False))
        elif message["type"] == "http.response.start" and not self.begun:
            self._send_head(message["status"], message.get("headers", ()))
        else:
            raise RuntimeError(f"{message['type']} is out of turn")

    def _send_head(self, status: int, headers: Headers) -> None:
        lines = [_STATUS.get(status) or b"HTTP/1.1 %d " % status]
        lines += map(_field, self._line.date)
        lines += map(_field, headers)
        said = dict(headers)
        self._promised = int(said.get(b"content-length", -1))
        closes = b"close" in said.get(b"connection", b"").lower()
        self.keep_alive = self.keep_alive and self._whole and not closes
        if self._scope["method"] == "HEAD" or status in _BODILESS:
            self._promised = 0
        elif self._promised < 0:
            self._chunked = not self._old
            lines += [b"transfer-encoding: chunked"] if self._chunked else []
        if not self.keep_alive and not closes:
            lines.append(b"connection: close")
        self._out.write(head(lines))
        self.begun = True

    def _send_body(self, body: bytes, more: bool) -> None:
        if self._chunked:
            if body:
                self._out.write(b"%x\r\n%b\r\n" % (len(body), body))
            if not more:
                self._out.write(_END)
        elif self._scope["method"] != "HEAD":
            if self._promised >= 0:
                self._promised -= len(body)
                if self._promised < 0 or (self._promised and not more):
                    raise RuntimeError("the answer's body is not as long as its content-length says")
            if body:
                self._out.write(body)
        if not more:
            self._answered = True
            self._wake()
            self._line.over(self)


def head(lines: list[bytes]) -> bytes:
    """An answer's head with its blank line. Raises `RuntimeError` where a line holds CR, LF or NUL."""
    text = b"\r\n".join(lines)
    ends = len(lines) - 1
    if text.count(b"\n") != ends or text.count(b"\r") != ends or b"\0" in text:
        raise RuntimeError("a header of the answer holds CR, LF or NUL")
    return text + b"\r\n\r\n"


def plain_answer(error: HeadgateError, date: Headers) -> bytes:
    """A whole answer, after which the connection closes, to what never became a request."""
    body = error_body(error, "")
    lines = [_STATUS[error.status_said], *map(_field, date), *map(_field, error.headers)]
    lines += [b"content-type: application/json", b"content-length: %d" % len(body), b"connection: close"]
    return head(lines) + body
