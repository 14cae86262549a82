"""Newline-delimited JSON as bytes: whole lines out of any split of a stream (github.com/ndjson/ndjson-spec)."""

from __future__ import annotations

from headgate.errors import UpstreamProtocolError
from headgate.wire.sse import BOM

LINE_LIMIT = 8 * 1024 * 1024
"""The longest single line that is held while its end has not come, in bytes."""


class Splitter:
    """Cuts a byte stream at line ends. A leading byte-order mark goes; nothing else changes.

    What `feed` returns, joined, is the same for every split of the input. A carriage return before the line end stays:
    JSON counts it as white space.
    """

    def __init__(self, limit: int = LINE_LIMIT) -> None:
        self._limit = limit
        self._held = bytearray()
        self._fresh = True

    def feed(self, chunk: bytes) -> bytes:
        """Returns all lines that are complete now, as they came, each with its end.

        Raises `UpstreamProtocolError` when one line grows past the limit.
        """
        end = chunk.rfind(b"\n") + 1
        if not end:
            self._held += chunk
            if len(self._held) > self._limit:
                raise UpstreamProtocolError(f"a line of the provider's stream is longer than {self._limit} bytes")
            return b""
        lines = self._taken() + chunk[:end]
        self._held += chunk[end:]
        return self._without_mark(lines)

    def finish(self) -> bytes:
        """What is left without its line end: a line that the end of the stream closed, or half of one."""
        return self._without_mark(self._taken())

    def _taken(self) -> bytes:
        held = bytes(self._held)
        self._held.clear()
        return held

    def _without_mark(self, lines: bytes) -> bytes:
        if self._fresh:
            self._fresh = False
            return lines.removeprefix(BOM)
        return lines


def read(lines: bytes) -> list[bytes]:
    """The lines that hold something, without their ends."""
    return [line for line in map(bytes.strip, lines.split(b"\n")) if line]


def write(line: bytes) -> bytes:
    """One line. `line` holds no line end: compact JSON never does."""
    return line + b"\n"
