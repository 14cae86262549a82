"""Which conversation a request belongs to, and where that one was answered last."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b

import msgspec

from headgate.types import Target
from headgate.wire.base import Fields

REMEMBERED = 10_000
"""Conversations that are remembered at once; the longest silent one is forgotten first."""


class _Turn(msgspec.Struct):
    role: str = ""
    content: msgspec.Raw = msgspec.Raw(b"")


_turns = msgspec.json.Decoder(list[_Turn]).decode


def conversation_of(session: str, fields: Fields) -> str:
    """A name for the conversation: its session, else `prompt_cache_key`, else its beginning up to the first words of
    the user, which every later turn repeats. Empty where there is nothing to know it by."""
    if session:
        return f"session {session}"
    if (said := bytes(fields.get("prompt_cache_key", b"null"))) not in (b"null", b'""'):
        return f"cache key {_digest(said)}"
    try:
        turns = _turns(fields.get("messages", b"[]"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    opening = bytes(fields.get("system", b""))
    for turn in turns:
        opening += turn.role.encode() + bytes(turn.content)
        if turn.role == "user":
            return f"opening {_digest(opening)}"
    return ""


def _digest(said: bytes) -> str:
    return blake2b(said, digest_size=16).hexdigest()


class Stickiness:
    """Where conversations were answered, for as long as their prompts are cached there."""

    def __init__(self) -> None:
        self._stays: OrderedDict[tuple[str, str], tuple[Target, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._stays)

    def find(self, route: str, conversation: str, now: float) -> Target | None:
        target, until = self._stays.get((route, conversation), (None, 0.0))
        return target if now < until else None

    def keep(self, route: str, conversation: str, target: Target, until: float) -> None:
        """Remembers; each answer begins the time anew, as it does at the provider."""
        self._stays[route, conversation] = (target, until)
        self._stays.move_to_end((route, conversation))
        if len(self._stays) > REMEMBERED:
            self._stays.popitem(last=False)
