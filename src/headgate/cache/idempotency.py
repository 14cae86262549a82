"""Idempotency keys: a request that comes again is not asked again, but answered with what it was answered first."""

from __future__ import annotations

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

    async def seek(self, tenant: str, key: bytes, question: bytes) -> Kept | Claim:
        """The answer that this key got before, else a claim: give it the answer, and leave it in any case.

        Raises `BadRequest` for what is no key, `StillRunning` while the first request with it is under way, and
        `KeyUsedOtherwise` where that was another `question`.
        """
        place = fingerprint("idempotency", tenant, checked(key)).hex()
        kept = await self._shelf.get(place)
        if kept is None:
            claim = Claim(place, question, self._shelf)
            if (kept := await self._brought_meanwhile(claim)) is None:
                return claim
        same(kept.question, question)
        return kept

    async def _brought_meanwhile(self, claim: Claim) -> Kept | None:
        """Makes a claim. An answer may have come between the look and the claim, which is dropped again then."""
        running = await self._shelf.claim(claim.place, claim.mark)
        if running is not None:
            same(running[:BYTES], claim.mark[:BYTES])
            raise StillRunning(f"`{HEADER}`: the first request with this key is still running; try again later")
        try:
            kept = await self._shelf.get(claim.place)
        except BaseException as error:
            await claim.leave(error)
            raise
        if kept is not None:
            await claim.leave(None)
        return kept


class Claim:
    """A key whose first request is under way."""

    __slots__ = ("_shelf", "mark", "place")

    def __init__(self, place: str, question: bytes, shelf: Shelf) -> None:
        self._shelf = shelf
        self.place = place
        self.mark = question + token_bytes(8)

    @property
    def limit(self) -> int:
        """The largest answer that can be kept, in bytes."""
        return self._shelf.bounds.limit

    async def keep(self, kept: Kept) -> None:
        await self._shelf.put(self.place, kept)

    def land(self, kept: Kept | None = None, failure: HeadgateError | None = None, *, left: bool = False) -> None:
        """Nobody waits for it: the others were told to try again."""

    async def leave(self, error: BaseException | None) -> None:
        """Sets the key free; what was kept stays."""
        await self._shelf.release(self.place, self.mark)


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
