"""One client's connection: HTTP/1.1 bytes in, requests to the application, answers out. What uvicorn serves with."""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from math import inf
from time import monotonic
from typing import Any, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.config import Config
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl
from uvicorn.server import ServerState

from headgate.config import Server
from headgate.edge.connections import Connections, connections_of
from headgate.edge.head import check_head, split_target
from headgate.edge.outgoing import Outgoing
from headgate.edge.turn import Turn, plain_answer
from headgate.errors import BadRequest, HeadgateError, HeadTooLarge, RequestTooSlow, TooManyConnections

HEAD_BYTES = 64 * 1024
"""The largest head of a request."""
HELD_BYTES = 64 * 1024
"""Bytes of a body that wait for the application before the client has to wait."""
QUEUED = 16
"""Requests that may wait on one connection for the answers to those before them."""
LINGER_S = 2.0
"""How long a client that sends on is listened to after its answer, so that a reset does not take the answer away."""

CROWD = 1.25
"""So many times the connections that there may be are told why they are refused; the rest is closed without a word."""
LIMITS = Server()
REQUEST_RATE = 500.0
"""Bytes of a request that give it a second more to arrive."""
_NOTED = frozenset((b"host", b"expect", b"transfer-encoding", b"content-length"))


class Protocol(asyncio.Protocol):
    """What the server is started with (`http=`): uvicorn makes one for each connection.

    Requests are answered in the order in which they came. One that breaks the rules of HTTP ends the connection:
    nobody can know where the next one would begin (RFC 9112 §11.2). A limit that passes ends it too.
    """

    __slots__ = (
        "_all", "_app", "_barren", "_common", "_due", "_ending", "_headers", "_incoming", "_last", "_noted", "_out",
        "_parser", "_queue", "_reading", "_received", "_since", "_state", "_transport", "_turn", "_under_way", "_url",
    )  # fmt: skip

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        limits: Server = LIMITS,
    ) -> None:
        if not config.loaded:
            config.load()
        self._app = config.loaded_app
        self._all: Connections = connections_of(server_state, _loop or asyncio.get_running_loop(), limits)
        self._state = app_state
        self._parser = HttpRequestParser(self)
        self._turn: Turn | None = None
        """The request that is being answered."""
        self._queue: deque[Turn] = deque()
        """Requests that came behind it."""
        self._incoming: Turn | None = None
        """The request whose body is being received."""
        self._under_way = False
        """A request has begun and is not whole."""
        self._since = 0.0
        """When the unfinished request began; 0 while there is none."""
        self._received = 0
        self._barren = 0
        """Bytes since the last that became a body or ended a request: headers, chunk extensions, trailers."""
        self._reading = True
        self._last = False
        """No request is taken but those that have begun."""
        self._ending = False
        """Nothing that the client sends is heard any more."""
        self._due = inf
        """When an idle or ending connection is over."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._out = Outgoing(self._transport, self._all.loop, self._all.outbox, self._all.limits.write_s)
        self._common = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "server": get_local_addr(self._transport),
            "client": get_remote_addr(self._transport),
            "scheme": "https" if is_ssl(self._transport) else "http",
            "root_path": "",
        }
        self._all.state.connections.add(cast(Any, self))
        self._due = monotonic() + self._all.limits.idle_s
        self._all.enter(self)
        if self._all.crowd > CROWD:
            self._transport.abort()
        elif self._all.crowd > 1:
            self._refuse(TooManyConnections("too many connections; come again in a moment"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._all.state.connections.discard(cast(Any, self))
        self._all.leave(self)
        self._ending = True
        self._out.lost()
        for turn in (self._turn, self._incoming):
            if turn is not None:
                turn.leave()
        self._queue.clear()

    def eof_received(self) -> None:
        """A client that has said all it has to say is gone: nothing that calls a model half-closes on purpose."""

    def data_received(self, data: bytes) -> None:
        if self._ending:
            return
        self._barren += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            self._receive_unupgraded(data[upgrade.args[0] :])
        except HttpParserError as error:
            broken = error.__context__
            self._refuse(broken if isinstance(broken, HeadgateError) else BadRequest(f"this is not HTTP/1.1: {error}"))
        if self._under_way:
            if not self._since:
                self._since = monotonic()
            self._received += len(data)
            if self._barren > HEAD_BYTES and not self._ending:
                self._refuse(HeadTooLarge(f"the request's headers are larger than {HEAD_BYTES} bytes"))

    def on_message_begin(self) -> None:
        self._under_way = True
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._noted: dict[bytes, bytes] = {}

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._incoming is not None:
            return
        name = name.lower()
        self._headers.append((name, value))
        if name in _NOTED:
            if name in self._noted:
                raise BadRequest(f"the header {name.decode()} comes twice")
            self._noted[name] = value

    def on_headers_complete(self) -> None:
        parser, noted = self._parser, self._noted
        version, method = parser.get_http_version(), parser.get_method()
        check_head(version, method, noted)
        path, raw_path, query = split_target(self._url)
        scope = self._common | {
            "method": method.decode(),
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": self._headers,
        }
        if self._state:
            scope["state"] = self._state.copy()
        turn = Turn(
            self,
            self._out,
            scope,
            keep_alive=parser.should_keep_alive() and not self._last,
            expects=noted.get(b"expect", b"").lower() == b"100-continue",
        )
        if version == "1.0":
            scope["http_version"] = version
            turn.be_old()
        self._incoming = turn
        if self._turn is None:
            self._begin(turn)
        elif len(self._queue) < QUEUED:
            self._queue.append(turn)
        else:
            raise BadRequest(f"more than {QUEUED} requests wait on one connection")

    def on_body(self, body: bytes) -> None:
        self._barren = 0
        if self._incoming is not None:
            self._incoming.give(body)
            if self._incoming.held > HELD_BYTES:
                self._hold()

    def _hold(self) -> None:
        """Lets the client wait while the application reads. Behind another request nobody reads yet, and whoever does
        not read from a connection does not see its client leave: a large body has no place there."""
        if self._incoming is not self._turn:
            raise BadRequest("a large request came before the answer to the one before it")
        self.pause_reading()

    def on_message_complete(self) -> None:
        if self._incoming is not None and not self._parser.should_upgrade():
            self._message_over()

    def _message_over(self) -> None:
        turn, self._incoming = self._incoming, None
        self._under_way = False
        self._since = 0.0
        self._received = self._barren = 0
        if turn is not None:
            turn.complete()

    def _receive_unupgraded(self, rest: bytes) -> None:
        """No upgrade is served here, and a server may ignore one (RFC 9110 §7.8); but the parser stops behind its head.
        The body is read by a parser that is told of its length only. Java's client asks for h2c with every request."""
        if self._incoming is None:
            return
        self._incoming.keep_alive = False
        length, coding = self._noted.get(b"content-length"), self._noted.get(b"transfer-encoding")
        framing = b"transfer-encoding: chunked" if coding is not None else b"content-length: " + (length or b"0")
        self._parser = HttpRequestParser(_Rest(self))
        self._parser.feed_data(b"POST / HTTP/1.1\r\n" + framing + b"\r\n\r\n")
        if rest and self._incoming is not None:
            try:
                self._parser.feed_data(rest)
            except HttpParserUpgrade:
                self._ending = True
            except HttpParserError as error:
                self._refuse(BadRequest(f"this is not HTTP/1.1: {error}"))

    def _begin(self, turn: Turn) -> None:
        self._turn = turn
        self._due = inf
        tasks = self._all.state.tasks
        task = self._all.loop.create_task(turn.run(self._app, tasks))
        turn.task = task
        tasks.add(task)

    def over(self, turn: Turn) -> None:
        """An answer is whole."""
        self._all.state.total_requests += 1
        self._turn = None
        if turn.keep_alive and not self._ending:
            if self._queue:
                self._begin(self._queue.popleft())
            else:
                self._due = monotonic() + self._all.limits.idle_s
                self.resume_reading()
        elif self._incoming is not None:
            self._linger()
        else:
            self.close()

    @property
    def date(self) -> list[tuple[bytes, bytes]]:
        """Headers that every answer has: the date, which uvicorn brings up to date each second."""
        return self._all.state.default_headers

    def close(self) -> None:
        """Ends the connection once everything that was written is with the client, or its time to read is over."""
        self._out.last()
        self._ending = True
        self._due = inf
        self._transport.close()

    def shutdown(self) -> None:
        """uvicorn is about to stop: requests that have begun are answered, nothing new begins."""
        self._last = True
        if self._turn is None and not self._under_way:
            self.close()
        elif self._turn is not None and not self._queue:
            self._turn.keep_alive = False
        elif self._queue:
            self._queue[-1].keep_alive = False

    def pause_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._reading and not self._transport.is_closing():
            self._reading = True
            if self._since:
                self._since = monotonic()
                self._received = 0
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        self._out.pause()

    def resume_writing(self) -> None:
        self._out.resume()

    def look(self, now: float) -> None:
        limits = self._all.limits
        if self._out.stuck(now):
            self._transport.abort()
        elif self._ending or not self._under_way:
            if now > self._due:
                self._transport.abort()
        elif self._reading and self._since:
            allowed_s = limits.request_s + self._received / REQUEST_RATE
            if now - self._since > allowed_s:
                self._refuse(RequestTooSlow(f"the request was not whole within {allowed_s:.0f} s"))

    def _refuse(self, error: HeadgateError) -> None:
        """Ends the connection over what came last. An answer to an earlier request still goes out whole."""
        turn = self._turn
        self._queue.clear()
        if turn is None or (turn is self._incoming and not turn.begun):
            if turn is not None:
                turn.leave()
            self._out.write(plain_answer(error, self.date))
            self._linger()
        elif turn is self._incoming:
            turn.leave()
            self.close()
        else:
            turn.keep_alive = False
            self._ending = True

    def _linger(self) -> None:
        """Closes our side, and the whole once the client has read it: an answer is lost if a reset overtakes it."""
        self._out.last()
        self._ending = True
        self._due = monotonic() + LINGER_S
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self.resume_reading()


def protocol(limits: Server) -> type[asyncio.Protocol]:
    """What uvicorn is given as `http`: makes connections with these limits."""
    return cast(type[asyncio.Protocol], partial(Protocol, limits=limits))


class _Rest:
    """What the parser of an upgrade's body reports to."""

    def __init__(self, connection: Protocol) -> None:
        self.on_body = connection.on_body
        self.on_message_complete = connection._message_over
