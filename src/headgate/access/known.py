"""What this process knows of keys: all are in memory, kept up with the database, which is asked for strangers only."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from time import monotonic

from headgate.access.keys import Key
from headgate.access.repository import KeyRepository
from headgate.errors import KeysUnavailable, StorageUnavailable
from headgate.storage.bus import Bus
from headgate.types import Caller

TOPIC = "keys"
POLL_S = 2.0
"""How late a key that was made or revoked elsewhere is noticed without the bus."""
ASK_S = 2.0
ASKED_AT_ONCE = 64
"""Look-ups under way; a stranger beyond that is told to come again, so that a flood of them waits nowhere."""
UNKNOWN_S = 2.0
UNKNOWN_KEPT = 10_000

log = logging.getLogger(__name__)


class KnownKeys:
    """Callers by the digest of their key. A revoked key is forgotten within `POLL_S`, at once where the bus tells.

    Keys from the configuration are always known and stand above those in the database.
    """

    def __init__(self, configured: Mapping[bytes, Caller], keys: KeyRepository, bus: Bus) -> None:
        self._configured = configured
        self._keys = keys
        self._bus = bus
        self._known = dict(configured)
        self._unknown: OrderedDict[bytes, float] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[Caller | None]] = {}
        self._version = 0
        self._refreshing = asyncio.Lock()
        self._following: asyncio.Task[None] | None = None
        self.get = self._known.get
        """The caller of a digest, if it is in memory."""

    async def start(self) -> None:
        """Loads all keys, and follows their changes. Raises `StorageUnavailable`."""
        await self.refresh()
        await self._bus.subscribe(TOPIC, self.refresh)
        self._following = asyncio.create_task(self._follow(), name="headgate-keys")

    async def stop(self) -> None:
        tasks = [*self._asking.values(), *([self._following] if self._following else [])]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, StorageUnavailable):
                await task

    def configure(self, configured: Mapping[bytes, Caller]) -> None:
        """Replaces the keys from the configuration. What the database knows of those that go is looked up anew."""
        for digest in self._configured.keys() - configured.keys():
            del self._known[digest]
            self._version = 0
        self._configured = configured
        self._known.update(configured)

    async def refresh(self) -> None:
        """Takes in what changed since the last time, one refresh after another. Raises `StorageUnavailable`."""
        async with self._refreshing:
            for key in await self._keys.newer_than(self._version):
                self._learn(key)

    async def ask(self, digest: bytes) -> Caller | None:
        """The caller of a key that is not in memory; one look-up for all who ask at the same time, and a no is good
        for `UNKNOWN_S`. Raises `KeysUnavailable` when the database does not answer within `ASK_S`."""
        if monotonic() - self._unknown.get(digest, -UNKNOWN_S) < UNKNOWN_S:
            return None
        try:
            return await asyncio.shield(self._asking.get(digest) or self._begin(digest))
        except StorageUnavailable:
            raise KeysUnavailable("this key cannot be checked just now: the database does not answer") from None

    def _begin(self, digest: bytes) -> asyncio.Task[Caller | None]:
        if len(self._asking) >= ASKED_AT_ONCE:
            raise KeysUnavailable("this key cannot be checked just now: too many unknown keys at once")
        task = self._asking[digest] = asyncio.create_task(self._look_up(digest))
        task.add_done_callback(lambda _: self._asking.pop(digest, None))
        return task

    async def _look_up(self, digest: bytes) -> Caller | None:
        try:
            async with asyncio.timeout(ASK_S):
                key = await self._keys.find(digest)
        except TimeoutError:
            raise StorageUnavailable(f"the database did not answer within {ASK_S:g} s") from None
        if key is not None and key.version > self._version and key.revoked_us is None:
            self._known[digest] = key.caller
        caller = self._known.get(digest)
        if caller is None:
            self._unknown[digest] = monotonic()
            if len(self._unknown) > UNKNOWN_KEPT:
                self._unknown.popitem(last=False)
        return caller

    def _learn(self, key: Key) -> None:
        """A look-up that was overtaken by this must not bring a revoked key back: it compares versions."""
        self._version = max(self._version, key.version)
        self._unknown.pop(key.digest, None)
        if key.digest in self._configured:
            return
        if key.revoked_us is None:
            self._known[key.digest] = key.caller
        else:
            self._known.pop(key.digest, None)

    async def _follow(self) -> None:
        away = False
        while True:
            await asyncio.sleep(POLL_S)
            try:
                await self.refresh()
            except StorageUnavailable as error:
                if not away:
                    log.warning("keys are served from memory for now: %s", error.message)
                away = True
            except Exception:
                log.exception("keys could not be followed; it will be tried again")
            else:
                if away:
                    log.warning("keys are followed in the database again")
                away = False
