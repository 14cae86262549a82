"""What the body field `model` of an answer says. The header `x-headgate-model` always says what served."""

from __future__ import annotations

import re
from typing import Protocol

from headgate.wire.base import Way, encode

BODY: Way = ("model",)
"""Where a whole answer names the model, in every dialect."""

_TOKEN = re.compile(rb'"(?P<field>[^"\\]*(?:\\.[^"\\]*)*)"\s*:\s*|"[^"\\]*(?:\\.[^"\\]*)*"|[][{}]', re.S)


class Naming(Protocol):
    def __call__(self, data: bytes, served: str, asked: str, events: Way = ()) -> bytes:
        """A whole body, or whole events that name the model there, with the name in it that the caller is to see."""
        ...


def as_served(data: bytes, served: str, asked: str, events: Way = ()) -> bytes:
    """Leaves every byte as the provider sent it."""
    return data


def as_asked(data: bytes, served: str, asked: str, events: Way = ()) -> bytes:
    """Puts the asked name in the place of the served one, in the answer's own field alone."""
    old = encode(served)
    if served == asked or old not in data:
        return data
    if not events:
        return _renamed(data, BODY, old, encode(asked))
    return b"\n".join(_renamed(line, events, old, encode(asked)) for line in data.split(b"\n"))


def _renamed(document: bytes, way: Way, old: bytes, new: bytes) -> bytes:
    at = _place(document, [b"", *map(str.encode, way)])
    if not document.startswith(old, at):
        return document
    return document[:at] + new + document[at + len(old) :]


def _place(document: bytes, way: list[bytes]) -> int:
    """Where the value of a field begins; the document's end where there is no such field."""
    inside: list[bytes] = []
    field = b""
    for token in _TOKEN.finditer(document):
        if token["field"] is not None:
            field = token["field"]
            if field == way[-1] and inside == way[:-1]:
                return token.end()
        elif token[0] in b"{[":
            inside.append(field)
            field = b""
        elif token[0] in b"}]":
            del inside[-1:]
            field = b""
    return len(document)


NAMINGS: dict[str, Naming] = {"served": as_served, "asked": as_asked}
