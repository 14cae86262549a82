"""Streams as the fake writes them: server-sent events with the oddities of the wild, and NDJSON lines."""

from __future__ import annotations

from collections.abc import Iterable

from headgate.testing.answers import Oddity, Piece
from headgate.testing.dialects.base import encode

DONE = b"data: [DONE]\n\n"


def event(body: object, name: str = "") -> bytes:
    """One server-sent event with JSON data."""
    named = f"event: {name}\n".encode() if name else b""
    return named + b"data: " + encode(body) + b"\n\n"


def odd(pieces: Iterable[Piece], oddities: frozenset[Oddity]) -> list[Piece]:
    """The same events with other line ends, comments, empty data frames and a byte-order mark where asked for."""
    around = (b": note\n\n" if "comments" in oddities else b"") + (b"data:\n\n" if "empty_data" in oddities else b"")
    end = b"\r\n" if "crlf" in oddities else b"\r" if "cr" in oddities else b"\n"
    found = [Piece((around + piece.data).replace(b"\n", end), piece.tokens) for piece in pieces]
    if "bom" in oddities:
        found[0] = Piece(b"\xef\xbb\xbf" + found[0].data, found[0].tokens)
    return found


def line(body: object) -> bytes:
    """One NDJSON line."""
    return encode(body) + b"\n"
