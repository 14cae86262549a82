"""The lists of models as answers: made once for each state of the catalogue, then kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from time import monotonic

import msgspec
from msgspec.structs import replace

from headgate import __version__
from headgate.routing.catalogue import Catalogue
from headgate.storage.answers import KEPT_S, Answers
from headgate.storage.bus import Bus

NAMES = ("models", "models_complete", "whitelist")
"""What is kept. The bus drops an answer in every process by its name."""


class Kept(msgspec.Struct, frozen=True):
    """An answer in this process's memory, good for one revision of the catalogue."""

    body: bytes
    key: str
    revision: int
    until: float


class KeptAnswers:
    """Gives kept answers, or has them made.

    Under the key by which processes share an answer stands what it is made of, so that no process can be given one of
    another state: a change is seen as soon as a process knows of it, and what is left of the old one only takes room.
    """

    def __init__(self, catalogue: Catalogue, answers: Answers, bus: Bus) -> None:
        self.catalogue = catalogue
        self._answers = answers
        self._bus = bus
        self._kept: dict[str, Kept] = {}
        self._finding = asyncio.Lock()

    async def start(self) -> None:
        for name in NAMES:
            await self._bus.subscribe(name, partial(self.drop, name))

    async def answer(self, name: str, make: Callable[[], bytes]) -> bytes:
        """The answer of this name, made where nobody has it; by one, for all who ask at the same time."""
        kept = self._kept.get(name)
        if kept is None or self._is_old(kept):
            async with self._finding:
                kept = self._kept.get(name)
                if kept is None or self._is_old(kept):
                    kept = self._kept[name] = await self._find(name, make)
        return kept.body

    async def drop(self, name: str) -> None:
        kept = self._kept.pop(name, None)
        if kept is not None:
            await self._answers.drop(kept.key)

    def _is_old(self, kept: Kept) -> bool:
        return kept.revision != self.catalogue.revision or kept.until < monotonic()

    async def _find(self, name: str, make: Callable[[], bytes]) -> Kept:
        revision, key = self.catalogue.revision, f"headgate:{name}:{self._fingerprint()}"
        body = await self._answers.get(key)
        if body is None:
            body = make()
            if revision == self.catalogue.revision:
                await self._answers.put(key, body)
        return Kept(body, key, revision, monotonic() + KEPT_S)

    def _fingerprint(self) -> str:
        """What every list is made of, but for the times at which it was fetched."""
        made_of = [
            __version__,
            [replace(card, fetched_us=0) for card in self.catalogue.complete()],
            [card.id for card in self.catalogue.cards()],
            self.catalogue.whitelist.rows,
        ]
        return sha256(msgspec.json.encode(made_of)).hexdigest()
