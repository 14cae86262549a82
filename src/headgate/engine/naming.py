"""What the body field `model` of an answer says. The header `x-headgate-model` always says what served."""

from __future__ import annotations

from typing import Protocol

from headgate.wire.base import encode


class Naming(Protocol):
    def __call__(self, data: bytes, served: str, asked: str) -> bytes:
        """Whole events or a whole body, with the name in it that the caller is to see."""
        ...


def as_served(data: bytes, served: str, asked: str) -> bytes:
    """Leaves every byte as the provider sent it."""
    return data


def as_asked(data: bytes, served: str, asked: str) -> bytes:
    """Puts the asked name in the place of the served one, wherever it stands as a field `model`.

    Quotes inside JSON strings are escaped, so that only fields are found.
    """
    if served == asked:
        return data
    old, new = encode(served), encode(asked)
    return data.replace(b'"model":' + old, b'"model":' + new).replace(b'"model": ' + old, b'"model": ' + new)


NAMINGS: dict[str, Naming] = {"served": as_served, "asked": as_asked}
