"""The shelf of one process."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from headgate.cache.shelf import Bounds, Kept


class MemoryShelf:
    """Keeps within its bounds: what was not asked for the longest goes first."""

    def __init__(self, bounds: Bounds, clock: Callable[[], float] = monotonic) -> None:
        self.bounds = bounds
        self.size = 0
        """Bytes of all that is kept."""
        self._clock = clock
        self._kept: dict[str, tuple[float, Kept]] = {}
        self._claims: dict[str, bytes] = {}

    def __len__(self) -> int:
        return len(self._kept)

    async def get(self, key: str) -> Kept | None:
        found = self._kept.pop(key, None)
        if found is None:
            return None
        until, kept = found
        if until <= self._clock():
            self.size -= kept.size
            return None
        self._kept[key] = found
        return kept

    async def put(self, key: str, kept: Kept) -> None:
        if kept.size > self.bounds.limit:
            return
        if (old := self._kept.pop(key, None)) is not None:
            self.size -= old[1].size
        self._kept[key] = (self._clock() + self.bounds.ttl_s, kept)
        self.size += kept.size
        while self.size > self.bounds.max_bytes or len(self._kept) > self.bounds.max_entries:
            _, gone = self._kept.pop(next(iter(self._kept)))
            self.size -= gone.size

    async def claim(self, key: str, mark: bytes) -> bytes | None:
        there = self._claims.setdefault(key, mark)
        return None if there is mark else there

    async def release(self, key: str, mark: bytes) -> None:
        if self._claims.get(key) == mark:
            del self._claims[key]

    async def stop(self) -> None:
        """There is nothing to close."""
