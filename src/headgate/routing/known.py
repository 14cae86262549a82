"""What this process knows of the stored catalogue and the whitelist: all is in memory, kept up with the database."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from headgate.errors import StorageUnavailable
from headgate.routing.catalogue import Catalogue
from headgate.routing.repository import ModelRepository, Subject
from headgate.routing.whitelist import Only
from headgate.storage.bus import Bus

POLL_S = 2.0
"""How late a change that was made elsewhere is noticed without the bus."""

log = logging.getLogger(__name__)


class KnownModels:
    """Keeps a catalogue at what the database says; at once where the bus tells, within `POLL_S` where it cannot."""

    def __init__(self, catalogue: Catalogue, models: ModelRepository, bus: Bus) -> None:
        self._catalogue = catalogue
        self._models = models
        self._bus = bus
        self._versions: dict[str, int] = {}
        self._refreshing = asyncio.Lock()
        self._following: asyncio.Task[None] | None = None
        self._away = False

    async def start(self) -> None:
        """Loads everything, and follows its changes. Raises `StorageUnavailable`."""
        await self.refresh()
        for topic in ("models", "whitelist"):
            await self._bus.subscribe(topic, self._hear)
        self._following = asyncio.create_task(self._follow(), name="headgate-models")

    async def stop(self) -> None:
        if self._following is not None:
            self._following.cancel()
            with suppress(asyncio.CancelledError):
                await self._following

    async def again(self) -> None:
        """Takes in everything anew: other providers have other rows, and the whitelist knows them by their names."""
        async with self._refreshing:
            self._versions = {}
        await self._hear()

    async def refresh(self) -> None:
        """Takes in what changed since the last time. Raises `StorageUnavailable`."""
        async with self._refreshing:
            versions = await self._models.versions()
            if self._changed("models", versions):
                stored = await self._models.models()
                book = [row.card for row in stored if not row.listed]
                self._catalogue.remember([row.card for row in stored if row.listed], book)
            if self._changed("whitelist", versions):
                self._catalogue.restrict(Only(await self._models.whitelist(), self._catalogue.providers))
            self._versions = versions

    def _changed(self, subject: Subject, versions: dict[str, int]) -> bool:
        return versions.get(subject) != self._versions.get(subject)

    async def _hear(self) -> None:
        """A refresh that can wait for the next round where the database does not answer."""
        try:
            await self.refresh()
        except StorageUnavailable as error:
            if not self._away:
                log.warning("models are served from memory for now: %s", error.message)
            self._away = True
        else:
            if self._away:
                log.warning("models are followed in the database again")
            self._away = False

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            try:
                await self._hear()
            except Exception:
                log.exception("models could not be followed; it will be tried again")
