"""An answer as it comes off a socket: parsed, checked, bounded and held. It knows bytes, neither sockets nor tasks."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from headgate.errors import StreamCut, UpstreamError, UpstreamProtocolError, UpstreamUnreachable
from headgate.upstream.base import Limits
from headgate.upstream.faults import fault

_BODILESS = (204, 304)
_VERSIONS = ("1.1", "1.0")
_KEEP_ALIVE_MARGIN_S = 1.0
ONCE = frozenset((b"content-length", b"transfer-encoding", b"content-encoding"))
"""Headers that say where a body ends or how to read it: said twice, two readers may disagree (RFC 9112 §11.2)."""


def check_head(status: int, headers: Mapping[bytes, bytes]) -> None:
    """Refuses an answer's head that no client may go on with, whichever client read it.

    Raises `UpstreamProtocolError` for a status outside 200…599, for `transfer-encoding` beside `content-length` or
    other than `chunked` (RFC 9112 §6.1, §6.3: the smuggling shapes), and for a content coding, which nobody asked for.
    """
    if not 200 <= status <= 599:
        raise UpstreamProtocolError(f"the status {status} is no answer to a call", upstream_status=status)
    if coding := headers.get(b"transfer-encoding"):
        if b"content-length" in headers:
            raise UpstreamProtocolError("the answer has a content-length and a transfer-encoding")
        if coding.lower() != b"chunked":
            raise UpstreamProtocolError("the answer has a transfer-encoding other than chunked")
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise UpstreamProtocolError("the answer is compressed, which was not asked for", upstream_status=status)


@lru_cache(256)
def keep_alive_s(said: bytes) -> float:
    """How long a connection with this `keep-alive` header may idle here: the peer's `timeout`, minus a margin.

    Infinite where the header names none.
    """
    for part in said.split(b","):
        name, _, value = part.partition(b"=")
        if name.strip().lower() == b"timeout" and value.strip().isdigit():
            return int(value) - _KEEP_ALIVE_MARGIN_S
    return float("inf")


class Incoming:
    """One answer, fed with bytes. `status` is 0 until its head is there; `complete` or `failure` end it.

    What came before a failure can still be taken. `reusable` says that the connection is clean for another request.
    """

    __slots__ = (
        "_barren",
        "_chunks",
        "_head",
        "_limits",
        "_parser",
        "_peer",
        "_received",
        "_to_close",
        "complete",
        "failure",
        "headers",
        "held",
        "reusable",
        "status",
    )

    def __init__(self, limits: Limits, peer: str = "") -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.complete = False
        self.failure: UpstreamError | None = None
        self.reusable = False
        self.held = 0
        self._limits = limits
        self._peer = peer
        self._chunks: list[bytes] = []
        self._received = 0
        self._barren = 0
        self._head = 0
        self._to_close = False
        self._parser: HttpResponseParser | None = HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Takes what a socket gave. Bytes behind the answer's end spoil only the connection."""
        parser = self._parser
        if self.complete or self.failure or parser is None:
            self.reusable = False
            return
        before = self.held
        begun = self.status
        try:
            parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._junk(error)
            return
        if self.held == before and self.status == begun:
            self._count_barren(len(data))
        else:
            self._barren = 0

    def end(self, *, reset: bool) -> None:
        """The connection is over. That ends a body without a length (RFC 9112 §6.3); any other is cut."""
        self.reusable = False
        if self.complete or self.failure:
            return
        if not self.status:
            self.failure = UpstreamUnreachable(f"{self._peer}: the connection closed before an answer came")
        elif self._to_close and not reset:
            self.complete = True
        elif reset and not self._received:
            self.failure = UpstreamUnreachable(f"{self._peer}: the connection was reset before the answer's body")
        else:
            self.failure = StreamCut(f"{self._peer}: the connection closed in the middle of the answer")

    def take(self) -> bytes:
        """All body bytes that wait; none: empty."""
        chunks = self._chunks
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        self.held = 0
        return data

    def _junk(self, error: Exception) -> None:
        self.reusable = False
        if not self.complete:
            self.failure = fault(error, self._peer)

    def _count_barren(self, size: int) -> None:
        """Bounds bytes that become nothing: an endless header line, chunk extension, trailer or row of 1xx answers."""
        self._barren += size
        if self._barren > self._limits.header_bytes and not self.complete:
            self.failure = UpstreamProtocolError(f"{self._peer}: headers without an end")

    def on_message_begin(self) -> None:
        if self.complete:
            raise UpstreamProtocolError("a second answer to one request")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.status:
            return
        self._head += len(name) + len(value) + 4
        if self._head > self._limits.header_bytes:
            raise UpstreamProtocolError(f"{self._peer}: more than {self._limits.header_bytes} bytes of headers")
        name = name.lower()
        if name in self.headers and name in ONCE:
            raise UpstreamProtocolError(f"{self._peer}: two headers {name.decode()}")
        self.headers[name] = value.strip()

    def on_headers_complete(self) -> None:
        parser = self._parser
        assert parser is not None
        status = parser.get_status_code()
        if 100 <= status < 200 and status != 101:
            self.headers.clear()
            return
        if parser.get_http_version() not in _VERSIONS:
            raise UpstreamProtocolError(f"{self._peer}: an answer in another version of HTTP")
        headers = self.headers
        check_head(status, headers)
        self._to_close = (
            b"content-length" not in headers and b"transfer-encoding" not in headers and status not in _BODILESS
        )
        self.status = status

    def on_body(self, data: bytes) -> None:
        size = len(data)
        self._received += size
        if self._received > self._limits.body_bytes:
            raise UpstreamProtocolError(f"{self._peer}: an answer of more than {self._limits.body_bytes} bytes")
        self.held += size
        self._chunks.append(data)

    def on_message_complete(self) -> None:
        if self.status:
            self.complete = True
            assert self._parser is not None
            self.reusable = self._parser.should_keep_alive()
