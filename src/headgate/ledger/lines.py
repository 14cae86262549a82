"""The journal's line: `{"opened":[…]}` or `{"closed":[…]}`, the record as an array in the order of its fields."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from headgate.types import Record

LINE_BYTES = 64 * 1024
"""The longest line: the words of a longer record are cut."""
WORD_CHARS = 500
OPENED = b'{"opened":'
CLOSED = b'{"closed":'

_encode = msgspec.json.Encoder().encode


Finished = Callable[[bytes], tuple[list[Record], list[bytes]]]
"""Reads whole lines into the records that they close, and the lines that cannot be read."""

_decode = msgspec.json.Decoder(Record).decode


def closed(chunk: bytes) -> tuple[list[Record], list[bytes]]:
    """A living process's `Finished`: opened lines are passed over, their requests are still under way."""
    return _finished([line for line in chunk.splitlines() if not line.startswith(OPENED)], {})


class Left:
    """A dead process's lines in order; at their end `open` holds the requests that were never closed."""

    def __init__(self) -> None:
        self.open: dict[str, Record] = {}

    def closed(self, chunk: bytes) -> tuple[list[Record], list[bytes]]:
        """A `Finished` that remembers what was opened."""
        return _finished(chunk.splitlines(), self.open)


def _finished(lines: list[bytes], still_open: dict[str, Record]) -> tuple[list[Record], list[bytes]]:
    records: list[Record] = []
    damaged: list[bytes] = []
    for line in lines:
        try:
            record = _record(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            damaged.append(line)
            continue
        if line.startswith(CLOSED):
            records.append(record)
            still_open.pop(record.request_id, None)
        else:
            still_open[record.request_id] = record
    return records, damaged


def _record(line: bytes) -> Record:
    """Raises `DecodeError` or `UnicodeDecodeError`."""
    if not line.startswith((OPENED, CLOSED)) or not line.endswith(b"}"):
        raise msgspec.DecodeError("a line is either opened or closed")
    return _decode(line[len(CLOSED) : -1])


def write(kind: bytes, record: Record) -> bytes:
    """One line with its end; what a caller or a provider said never makes it fail or grow past `LINE_BYTES`."""
    try:
        line = kind + _encode(record) + b"}\n"
    except (UnicodeEncodeError, ValueError, OverflowError):
        line = kind + _encode(_plain(record)) + b"}\n"
    return line if len(line) <= LINE_BYTES else kind + _encode(_plain(record)) + b"}\n"


def _plain(record: Record) -> Record:
    """The record with its words cut and without lone surrogates, which have no UTF-8."""
    words = {
        name: value[:WORD_CHARS].encode(errors="replace").decode()
        for name in record.__struct_fields__
        if isinstance(value := getattr(record, name), str)
    }
    return replace(record, **words)
