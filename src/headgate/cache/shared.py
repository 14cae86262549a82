"""The shelf of all processes: Redis, and while that is away, each process's own."""

from __future__ import annotations

import asyncio
from typing import Protocol

import msgspec

from headgate.cache.memory import MemoryShelf
from headgate.cache.shelf import Bounds, Kept, Shelf
from headgate.errors import StorageUnavailable
from headgate.types import Secret

CLAIM_S = 10.0
"""How long a claim outlives the process that made it; one that lives says so again in time."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Kept).decode


class Values(Protocol):
    """Bytes by key, each with its end. All raise `StorageUnavailable`, and take a tenth of a second at most."""

    async def get(self, key: str) -> bytes | None: ...

    async def put(self, key: str, value: bytes, ttl_s: float) -> None: ...

    async def claim(self, key: str, mark: bytes, ttl_s: float) -> bytes | None:
        """Puts a mark where there is none, and returns nothing; else returns the mark that is there."""
        ...

    async def renew(self, key: str, mark: bytes, ttl_s: float) -> None:
        """Gives a mark more time, if it is still there."""
        ...

    async def release(self, key: str, mark: bytes) -> None: ...

    async def stop(self) -> None: ...


class SharedShelf:
    """Answers and claims that every process sees."""

    def __init__(self, bounds: Bounds, values: Values, name: str) -> None:
        """`name` keeps the keys apart from those of other shelves."""
        self.bounds = bounds
        self._values = values
        self._own = MemoryShelf(bounds)
        self._answers = f"headgate:{name}:answer:"
        self._claims = f"headgate:{name}:claim:"
        self._renewals: dict[bytes, asyncio.Task[None]] = {}

    async def get(self, key: str) -> Kept | None:
        try:
            value = await self._values.get(self._answers + key)
        except StorageUnavailable:
            return await self._own.get(key)
        if value is None:
            return await self._brought(key)
        try:
            return _decode(value)
        except msgspec.DecodeError:  # another version kept it: to this one it is not there
            return None

    async def _brought(self, key: str) -> Kept | None:
        """What was kept here while Redis was away, which all get from now on."""
        kept = await self._own.get(key)
        if kept is not None:
            await self.put(key, kept)
        return kept

    async def put(self, key: str, kept: Kept) -> None:
        if kept.size > self.bounds.limit:
            return
        try:
            await self._values.put(self._answers + key, _encode(kept), self.bounds.ttl_s)
        except StorageUnavailable:
            await self._own.put(key, kept)

    async def claim(self, key: str, mark: bytes) -> bytes | None:
        try:
            there = await self._values.claim(self._claims + key, mark, CLAIM_S)
        except StorageUnavailable:
            return await self._own.claim(key, mark)
        if there is None:
            self._renewals[mark] = asyncio.create_task(self._renew(key, mark))
        return there

    async def release(self, key: str, mark: bytes) -> None:
        await self._own.release(key, mark)
        renewal = self._renewals.pop(mark, None)
        if renewal is None:
            return
        renewal.cancel()
        try:
            await self._values.release(self._claims + key, mark)
        except StorageUnavailable:
            return  # the claim ends by itself, after CLAIM_S

    async def stop(self) -> None:
        for renewal in self._renewals.values():
            renewal.cancel()
        await self._values.stop()

    async def _renew(self, key: str, mark: bytes) -> None:
        while True:
            await asyncio.sleep(CLAIM_S / 3)
            try:
                await self._values.renew(self._claims + key, mark, CLAIM_S)
            except StorageUnavailable:
                continue  # it may be back before the claim ends


def shelf_at(redis_url: Secret | None, name: str, bounds: Bounds) -> Shelf:
    """The shelf of this process where there is no Redis, else that of all."""
    if redis_url is None:
        return MemoryShelf(bounds)
    from headgate.storage.redis import RedisValues

    return SharedShelf(bounds, RedisValues(redis_url), name)
