"""Fetches the providers' lists, and the book of prices, into the stored catalogue: when asked to, and on a schedule."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from time import time_ns

from headgate.engine.discovery import can_list, models_of
from headgate.engine.reach import Reach
from headgate.errors import HeadgateError, NotFound, StorageUnavailable
from headgate.routing import pricebook
from headgate.routing.repository import ModelRepository
from headgate.storage.bus import Bus

BOOK = "the book of prices"
APART_S = 30.0
"""Processes that share a database wait for a random part of this, so that one finds the work of another done."""

Tell = Callable[[str, int | HeadgateError], None]
"""Is told a source, and how many records came from it or why none did."""

log = logging.getLogger(__name__)


class Sync:
    """Puts lists into the database and tells every process. What is fetched is kept one source at a time, whole."""

    def __init__(self, reaches: Mapping[str, Reach], models: ModelRepository, bus: Bus, every_hours: float) -> None:
        """`every_hours` is the schedule; 0 is none."""
        self._reaches = reaches
        self._models = models
        self._bus = bus
        self._every_s = every_hours * 3600
        self._rounds: asyncio.Task[None] | None = None

    def follow(self, reaches: Mapping[str, Reach]) -> None:
        """Other providers from now on."""
        self._reaches = reaches

    def start(self) -> None:
        if self._every_s:
            self._rounds = asyncio.create_task(self._go_round(), name="headgate-sync")

    async def stop(self) -> None:
        if self._rounds is not None:
            self._rounds.cancel()
            with suppress(asyncio.CancelledError):
                await self._rounds

    async def one(self, provider: str) -> int:
        """Fetches one provider's list; returns how many records it had.

        Raises `NotFound` for a provider that is not configured, `UpstreamError`, `StorageUnavailable`.
        """
        if provider not in self._reaches:
            raise NotFound(f"there is no provider `{provider}` here")
        kept = await self._keep(self._reaches[provider])
        await self._announce()
        return kept

    async def all(self, tell: Tell) -> None:
        """Fetches the lists of all providers that are set up, then what the book says of their models. A source that
        fails keeps no other from being kept."""
        wanted = [reach for reach in self._reaches.values() if reach.configured and can_list(reach)]
        await asyncio.gather(*(told(reach.name, self._keep(reach), tell) for reach in wanted))
        if pricebook.there_is_one():
            await told(BOOK, self._keep_book(), tell)
        await self._announce()

    async def _keep(self, reach: Reach) -> int:
        return await self._models.keep_list(reach.name, await models_of(reach))

    async def _keep_book(self) -> int:
        names: dict[str, list[str]] = {}
        for row in await self._models.models():
            if row.listed:
                names.setdefault(row.card.provider, []).append(row.card.id)
        for reach in self._reaches.values():
            names.setdefault(reach.name, []).extend(card.id for card in reach.provider.cards())
        kinds = {name: type(reach.provider).name for name, reach in self._reaches.items() if reach.configured}
        return await self._models.keep_book(await pricebook.read(pricebook.wanted(kinds, names)))

    async def _announce(self) -> None:
        for topic in ("models", "models_complete"):
            await self._bus.publish(topic)

    async def _go_round(self) -> None:
        while True:
            try:
                await asyncio.sleep(await self._due_s() + random.uniform(0, APART_S))
                if await self._due_s() == 0:
                    await self.all(say)
            except StorageUnavailable as error:
                log.warning("the model lists could not be fetched on time: %s", error.message)
                await asyncio.sleep(APART_S)
            except Exception:
                log.exception("the model lists could not be fetched; it will be tried again")
                await asyncio.sleep(APART_S)

    async def _due_s(self) -> float:
        """Seconds until the lists are due, whoever fetched them last."""
        age_s = time_ns() / 1e9 - await self._models.changed_us("models") / 1e6
        return max(0.0, self._every_s - max(0.0, age_s))


async def told(source: str, keeping: Awaitable[int], tell: Tell) -> None:
    try:
        tell(source, await keeping)
    except HeadgateError as error:
        tell(source, error)


def say(source: str, outcome: int | HeadgateError) -> None:
    """Tells the log."""
    if isinstance(outcome, HeadgateError):
        log.warning("the model list of %s could not be fetched: %s", source, outcome.message)
    else:
        log.info("%d models from %s", outcome, source)
