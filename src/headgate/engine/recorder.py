"""A sink that also keeps what it sends, and the same sent again later."""

from __future__ import annotations

from time import time
from typing import Protocol

from msgspec.structs import replace

from headgate.cache.shelf import Kept
from headgate.engine.exchange import Served, Sink
from headgate.errors import DeadlinePassed, HeadgateError, StreamCut
from headgate.ledger.meter import Tab
from headgate.types import Usage


class Place(Protocol):
    """Where a recorded answer goes."""

    @property
    def limit(self) -> int:
        """The largest answer that can be kept, in bytes."""
        ...

    async def keep(self, kept: Kept) -> None: ...

    def land(self, kept: Kept | None = None, failure: HeadgateError | None = None, *, left: bool = False) -> None:
        """No answer will come here: because of a failure, because its caller `left` it, or because what comes cannot be
        kept."""
        ...

    async def leave(self, error: BaseException | None) -> None:
        """The request is over; `error` is how it failed."""
        ...


class Recorder:
    """Passes everything on. An answer that turns out whole and right is kept before its last byte leaves."""

    __slots__ = ("_media_type", "_pieces", "_place", "_question", "_served", "_sink", "_size", "_tab")

    def __init__(self, sink: Sink, place: Place, question: bytes, tab: Tab) -> None:
        self._sink = sink
        self._place = place
        self._question = question
        self._tab = tab
        self._media_type = ""
        self._pieces: list[bytes] = []
        self._size = 0
        self._served: Served

    @property
    def begun(self) -> bool:
        return self._sink.begun

    @property
    def ended(self) -> bool:
        return self._sink.ended

    async def whole(self, body: bytes, served: Served) -> None:
        self._served = missed(served)
        self._take(body)
        await self._keep()
        await self._sink.whole(body, self._served)

    async def begin(self, media_type: str, served: Served) -> None:
        self._served = missed(served)
        self._media_type = media_type
        await self._sink.begin(media_type, self._served)

    async def write(self, data: bytes) -> None:
        self._take(data)
        await self._sink.write(data)

    async def end(self) -> None:
        await self._keep()
        await self._sink.end()

    def _take(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= self._place.limit:
            self._pieces.append(data)
        else:
            self._pieces.clear()
            self._place.land()

    async def _keep(self) -> None:
        tab, served = self._tab, self._served
        if tab.error == DeadlinePassed.code:
            self._place.land(left=True)
        elif tab.error:
            self._place.land(failure=StreamCut(f"the answer that this request waited for broke: {tab.error}"))
        elif tab.usage is not None and self._size <= self._place.limit:
            kept = Kept(
                question=self._question,
                at_s=time(),
                media_type=self._media_type,
                body=b"".join(self._pieces),
                model=served.model,
                provider=served.provider,
                dropped=served.dropped,
                estimated=tab.usage.estimated,
            )
            await self._place.keep(kept)


def missed(served: Served) -> Served:
    """What is said of an answer that is kept from now on; one that was kept elsewhere already stays a hit."""
    return replace(served, cache="miss") if served.cache == "off" else served


async def replay(kept: Kept, sink: Sink, tab: Tab) -> None:
    """Gives a kept answer, byte for byte. Nobody is asked for it, so it has no tokens, and costs nothing."""
    tab.provider, tab.served, tab.usage = kept.provider, kept.model, Usage(cost_nano=0)
    tab.first_token()
    told = Served(
        model=kept.model,
        provider=kept.provider,
        attempts=0,
        own_s=tab.own_s,
        dropped=kept.dropped,
        cost_nano=0,
        cache="hit",
    )
    if kept.media_type:
        await sink.begin(kept.media_type, told)
        await sink.write(kept.body)
        await sink.end()
    else:
        await sink.whole(kept.body, told)
