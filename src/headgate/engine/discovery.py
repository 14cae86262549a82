"""Keeps the catalogue true: asks the providers for their lists, in the background and when a name is not known."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from time import monotonic, time_ns

import msgspec

from headgate.engine.reach import Reach
from headgate.errors import ModelNotAllowed, ModelNotFound, UpstreamError
from headgate.routing.catalogue import Catalogue
from headgate.routing.plan import plan
from headgate.routing.routes import Routes
from headgate.types import ModelCard, Plan
from headgate.upstream.base import Call

EVERY_S = 600.0
AGAIN_S = 5.0
"""A name that nobody knows asks the providers anew, but not sooner than this after they have been asked."""
WAIT_S = 2.0

log = logging.getLogger(__name__)


class Discovery:
    """Plans over a catalogue that follows what the providers say they have."""

    def __init__(self, catalogue: Catalogue, routes: Routes, reaches: Mapping[str, Reach]) -> None:
        self.catalogue = catalogue
        self.routes = routes
        """Frozen: a change of routes puts another object here."""
        self._listed = [reach for reach in reaches.values() if can_list(reach)]
        self._refreshed = -AGAIN_S
        self._refreshing: asyncio.Task[None] | None = None
        self._rounds: asyncio.Task[None] | None = None
        self._overtaken: set[asyncio.Task[None]] = set()
        self._away: set[str] = set()

    def follow(self, reaches: Mapping[str, Reach]) -> None:
        """Other providers from now on. A round that is under way ends for those who wait for it; nothing is learned."""
        self._listed = [reach for reach in reaches.values() if can_list(reach)]
        self._away.clear()
        if self._rounds is not None:
            self._rounds.cancel()
        if self._refreshing is not None:
            self._overtaken.add(self._refreshing)
            self._refreshing.add_done_callback(self._overtaken.discard)
        self._refreshing = None
        self._refreshed = -AGAIN_S
        self.start()

    async def plan(self, model: str) -> Plan:
        """As `routing.plan.plan`; an unknown name is looked for once more in fresh lists, for at most `WAIT_S`."""
        try:
            return plan(self.catalogue, self.routes, model)
        except ModelNotAllowed:
            raise
        except ModelNotFound:
            if not self._listed or (monotonic() - self._refreshed < AGAIN_S and not self._asking):
                raise
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self.refresh()), WAIT_S)
        try:
            return plan(self.catalogue, self.routes, model)
        except ModelNotFound as error:
            if self._away:
                error.message += f" (The model lists of {', '.join(sorted(self._away))} could not be had.)"
            raise

    def refresh(self) -> asyncio.Task[None]:
        """Asks every provider that has a list; one round at a time."""
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._refresh())
        return self._refreshing

    @property
    def _asking(self) -> bool:
        return self._refreshing is not None and not self._refreshing.done()

    def start(self) -> None:
        if self._listed:
            self._rounds = asyncio.create_task(self._go_round())

    async def stop(self) -> None:
        tasks = [task for task in (self._rounds, self._refreshing, *self._overtaken) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _go_round(self) -> None:
        while True:
            await asyncio.shield(self.refresh())
            await asyncio.sleep(EVERY_S)

    async def _refresh(self) -> None:
        await asyncio.gather(*(self._ask(reach) for reach in self._listed))
        self._refreshed = monotonic()

    async def _ask(self, reach: Reach) -> None:
        try:
            cards = await models_of(reach)
            if self._asks(reach):
                self.catalogue.learn(reach.name, cards)
                self._away.discard(reach.name)
        except UpstreamError as error:
            if self._asks(reach) and reach.name not in self._away:
                log.log(
                    logging.INFO if reach.configured else logging.DEBUG,
                    "the model list of %s cannot be had: %s",
                    reach.name,
                    error.message,
                )
                self._away.add(reach.name)
        except Exception:
            log.exception("the model list of %s cannot be read", reach.name)

    def _asks(self, reach: Reach) -> bool:
        """Whether its answers are still of interest: the provider may have been changed meanwhile."""
        return any(
            (each.name, each.provider.models_url) == (reach.name, reach.provider.models_url) for each in self._listed
        )


async def models_of(reach: Reach) -> list[ModelCard]:
    """Asks a provider for its list. Raises `UpstreamError`."""
    limits = msgspec.structs.replace(reach.limits, first_byte_s=10.0, total_s=20.0, body_bytes=32 * 1024 * 1024)
    call = Call(reach.provider.models_url, reach.any_headers, method="GET", limits=limits)
    async with reach.upstream.open(call) as answer:
        body = await answer.read()
        if answer.status != 200:
            raise reach.provider.failure(answer.status, answer.headers, body)
    now = time_ns() // 1000
    return [
        msgspec.structs.replace(card, source=f"the list of {reach.name}", fetched_us=now)
        for card in reach.provider.models(body)
    ]


def can_list(reach: Reach) -> bool:
    """Whether a provider has a list that can be asked for."""
    provider = reach.provider
    return bool(provider.models_url) and (bool(provider.settings.first_key) or not provider.key_needed)
