"""The response cache: an answer at once where one is kept, and one call to a provider for equal requests at once."""

from __future__ import annotations

import asyncio
from secrets import token_bytes
from time import time

from headgate.cache.shelf import Kept, Shelf
from headgate.cache.wishes import Wish
from headgate.errors import CallerError, HeadgateError

LOOK_AGAIN_S = 0.05
"""How often a process looks whether another one has brought the answer that both want."""


class ResponseCache:
    """Answers exactly as they were given, for requests that are exactly the same."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._flights: dict[str, Flight] = {}

    async def seek(self, question: bytes, wish: Wish) -> Kept | Flight:
        """An answer that will do, else a flight: ask a provider, give it the answer, and leave it in any case.

        Waits while an equal request is under way. Raises what that one failed with; where its caller left, or was
        itself at fault, the next in line asks.
        """
        key, oldest_s = question.hex(), time() - wish.max_age_s
        if wish.max_age_s <= 0:
            return Flight(key, self._shelf, {})
        return await self._from_others(key, oldest_s) or await self._first(key, oldest_s)

    async def _from_others(self, key: str, oldest_s: float) -> Kept | Flight | None:
        """What an equal request in this process brings; a flight of its own where that cannot be kept; nothing where
        none is under way any more."""
        while (flight := self._flights.get(key)) is not None:
            await flight.landed.wait()
            if flight.failure is not None:
                raise flight.failure.with_traceback(None)
            if flight.kept is None and not flight.left:
                return Flight(key, self._shelf, {})
            if flight.kept is not None and flight.kept.at_s >= oldest_s:
                return flight.kept
        return None

    async def _first(self, key: str, oldest_s: float) -> Kept | Flight:
        flight = self._flights[key] = Flight(key, self._shelf, self._flights)
        try:
            kept = await self._kept_or_claimed(flight, oldest_s)
        except BaseException as error:
            await flight.leave(error)
            raise
        if kept is None:
            return flight
        flight.land(kept)
        return kept

    async def _kept_or_claimed(self, flight: Flight, oldest_s: float) -> Kept | None:
        """What is kept, or nothing once no other process is about to bring it."""
        while (kept := await self._fresh(flight.key, oldest_s)) is None:
            if await flight.claim():
                return await self._brought_meanwhile(flight, oldest_s)
            await asyncio.sleep(LOOK_AGAIN_S)
        return kept

    async def _brought_meanwhile(self, flight: Flight, oldest_s: float) -> Kept | None:
        kept = await self._fresh(flight.key, oldest_s)
        if kept is not None:
            await flight.release()
        return kept

    async def _fresh(self, key: str, oldest_s: float) -> Kept | None:
        kept = await self._shelf.get(key)
        return kept if kept is not None and kept.at_s >= oldest_s else None


class Flight:
    """A question on its way to a provider. It lands with an answer for those who wait, with a failure that they share,
    or with neither, where its caller `left` or was itself at fault. Without any of these the answer cannot be kept:
    each asks for itself."""

    __slots__ = ("_flights", "_mark", "_shelf", "failure", "kept", "key", "landed", "left")

    def __init__(self, key: str, shelf: Shelf, flights: dict[str, Flight]) -> None:
        self._shelf = shelf
        self._flights = flights
        self.key = key
        self._mark = b""
        self.landed = asyncio.Event()
        self.kept: Kept | None = None
        self.failure: HeadgateError | None = None
        self.left = False

    @property
    def limit(self) -> int:
        """The largest answer that can be kept, in bytes."""
        return self._shelf.bounds.limit

    async def claim(self) -> bool:
        """Tells other processes that the answer will come from here. False where one of them has done so."""
        self._mark = token_bytes(16)
        return await self._shelf.claim(self.key, self._mark) is None

    async def release(self) -> None:
        await self._shelf.release(self.key, self._mark)

    async def keep(self, kept: Kept) -> None:
        """Keeps a whole answer. Counts that no provider reported are not repeated as if they were true."""
        if not kept.estimated:
            await self._shelf.put(self.key, kept)
            self.land(kept)

    def land(self, kept: Kept | None = None, failure: HeadgateError | None = None, *, left: bool = False) -> None:
        """The first landing counts."""
        if not self.landed.is_set():
            self.kept, self.failure, self.left = kept, failure, left
            self._flights.pop(self.key, None)
            self.landed.set()

    async def leave(self, error: BaseException | None) -> None:
        """Lands it, if it has not, and lets go of the claim."""
        if isinstance(error, HeadgateError) and not isinstance(error, CallerError):
            self.land(failure=error)
        self.land(left=error is not None)
        await self.release()
