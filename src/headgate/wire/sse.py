"""Server-sent events as bytes: whole events out of any split of a stream (WHATWG HTML §9.2.6)."""

from __future__ import annotations

import re

from headgate.errors import UpstreamProtocolError

EVENT_LIMIT = 8 * 1024 * 1024
"""The longest single event that is held while its end has not come, in bytes."""

BOM = b"\xef\xbb\xbf"
DONE = b"data: [DONE]\n\n"


class Unframed(UpstreamProtocolError):
    """A JSON object stands where an event should: `body` is a whole answer, most often an error with a 200."""

    def __init__(self, body: bytes) -> None:
        super().__init__("the provider answered with one JSON object where a stream was asked for")
        self.body = body


class Splitter:
    """Cuts a byte stream at event ends. Line ends become LF, a leading byte-order mark goes; nothing else changes.

    What `feed` returns, joined, is the same for every split of the input.
    """

    def __init__(self, limit: int = EVENT_LIMIT) -> None:
        self._limit = limit
        self._held = bytearray()
        self._cr = False
        self._fresh = True

    def feed(self, chunk: bytes) -> bytes:
        """Returns all events that are complete now, as they came, each with its closing blank line.

        Raises `UpstreamProtocolError` when one event grows past the limit.
        """
        if self._fresh:
            chunk = self._without_mark(chunk)
        if self._cr or b"\r" in chunk:
            chunk = self._with_plain_line_ends(chunk)
        if self._held or not chunk.startswith(b"\n"):
            return self._cut(chunk)
        rest = chunk.lstrip(b"\n")
        return chunk[: len(chunk) - len(rest)] + self._cut(rest)

    def _cut(self, chunk: bytes) -> bytes:
        held = self._held
        if not held:
            if chunk.endswith(b"\n\n"):
                return chunk
            if (end := chunk.rfind(b"\n\n")) >= 0:
                held += chunk[end + 2 :]
                return chunk[: end + 2]
        searched = max(len(held) - 1, 0)
        held += chunk
        if (end := held.rfind(b"\n\n", searched)) >= 0:
            events = bytes(held[: end + 2])
            del held[: end + 2]
            return events
        if len(held) > self._limit:
            raise UpstreamProtocolError(f"an event of the provider's stream is longer than {self._limit} bytes")
        return b""

    def _without_mark(self, chunk: bytes) -> bytes:
        chunk = bytes(self._held) + chunk
        self._held.clear()
        if len(chunk) < len(BOM) and BOM.startswith(chunk):
            self._held += chunk
            return b""
        self._fresh = False
        return chunk.removeprefix(BOM)

    def _with_plain_line_ends(self, chunk: bytes) -> bytes:
        if self._cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._cr = False
        self._cr = self._cr or chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def finish(self) -> bytes:
        """What is left without its blank line: an event that the end of the stream closed, or half of one."""
        rest = bytes(self._held)
        self._held.clear()
        return rest


_FIELD = re.compile(rb"^(data|event):[ ]?(.*)$", re.M)


def read(events: bytes) -> list[tuple[str, bytes]]:
    """Reads whole events (`Splitter` output) into (event name, data); comments and events without data go.

    Raises `Unframed`.
    """
    found = []
    for block in events.split(b"\n\n"):
        if block.startswith(b"data: ") and b"\n" not in block:
            found.append(("", block[6:]))
        elif block:
            name, data = _read_fields(block)
            if data:
                found.append((name, b"\n".join(data)))
            elif block.lstrip().startswith(b"{"):
                raise Unframed(block)
    return found


def data(events: bytes) -> list[bytes]:
    """The data of whole events, whatever their names. Raises `Unframed`."""
    return [data for _, data in read(events)]


def _read_fields(block: bytes) -> tuple[str, list[bytes]]:
    name = ""
    data: list[bytes] = []
    for field, value in _FIELD.findall(block):
        if field == b"data":
            data.append(value)
        else:
            name = value.decode("utf-8", "replace")
    return name, data


def write(data: bytes, event: str = "") -> bytes:
    """One event. `data` holds no line end: JSON never does."""
    if event:
        return b"event: " + event.encode() + b"\ndata: " + data + b"\n\n"
    return b"data: " + data + b"\n\n"
