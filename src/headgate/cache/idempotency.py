"""Idempotency keys: a request that comes again is not asked again, but answered with what it was answered first."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from secrets import token_bytes

from headgate.cache.fingerprint import BYTES, fingerprint
from headgate.cache.shelf import Kept, Shelf
from headgate.errors import BadRequest, HeadgateError, KeyUsedOtherwise, StillRunning

HEADER = "Idempotency-Key"
KEY_CHARS = 255


class Idempotency:
    """Remembers, for each tenant and key, the request that runs or the answer that it got."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    @asynccontextmanager
    async def turn(self, tenant: str, key: bytes, question: bytes) -> AsyncIterator[Kept | Claim]:
        """The answer that this key got before, else a claim: answer inside this scope, and give the answer to it.

        Raises `BadRequest` for what is no key, `StillRunning` while the first request with it is under way, and
        `KeyUsedOtherwise` where that was another `question`.
        """
        place = fingerprint("idempotency", tenant, checked(key)).hex()
        if (kept := await self._shelf.get(place)) is not None:
            same(kept.question, question)
            yield kept
            return
        mark = question + token_bytes(8)
        running = await self._shelf.claim(place, mark)
        if running is not None:
            same(running[:BYTES], question)
            raise StillRunning(f"`{HEADER}`: the first request with this key is still running; try again later")
        try:
            kept = await self._shelf.get(place)  # it may have come between the look and the claim
            if kept is not None:
                same(kept.question, question)
            yield kept or Claim(place, self._shelf)
        finally:
            await self._shelf.release(place, mark)


class Claim:
    """A key whose first request is under way."""

    __slots__ = ("_place", "_shelf")

    def __init__(self, place: str, shelf: Shelf) -> None:
        self._place = place
        self._shelf = shelf

    @property
    def limit(self) -> int:
        """The largest answer that can be kept, in bytes."""
        return self._shelf.bounds.limit

    async def keep(self, kept: Kept) -> None:
        await self._shelf.put(self._place, kept)

    def land(self, kept: Kept | None = None, failure: HeadgateError | None = None) -> None:
        """Nobody waits for it: the others were told to try again."""


def checked(key: bytes) -> str:
    """Raises `BadRequest` for what is no key."""
    text = key.decode("latin-1")
    if not (0 < len(text) <= KEY_CHARS and text.isascii() and text.isprintable()):
        raise BadRequest(f"`{HEADER}`: a key has 1 to {KEY_CHARS} printable ASCII characters", param=HEADER)
    return text


def same(first: bytes, question: bytes) -> None:
    """Raises `KeyUsedOtherwise` for two different questions."""
    if first != question:
        raise KeyUsedOtherwise(f"`{HEADER}`: this key belongs to a request with another route or body; use a new one")
