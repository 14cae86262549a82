"""Moves finished requests from the journal to the database, in batches, as often as needed and never twice."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from time import monotonic
from typing import Protocol

from msgspec.structs import replace

from headgate.errors import JournalUnavailable, StorageRefused, StorageUnavailable
from headgate.ledger import lines
from headgate.ledger.damage import Damage
from headgate.ledger.journal import Journal
from headgate.ledger.segment import Segment, orphans
from headgate.types import Record

PIECE_BYTES = lines.LINE_BYTES
"""Decoded at once: about 300 lines, half a millisecond of the event loop's time."""
CHUNK_BYTES = 2 * PIECE_BYTES
"""Read at once, and shipped in one transaction: about 300 finished requests."""
BATCH = 500
ADOPT_S = 5.0
"""How often the segments of dead processes are looked for."""
AWAY_S = 2.0
"""The longest pause while the database is away."""
LAST_S = 5.0
"""How long the last shipment before the end may take."""

log = logging.getLogger(__name__)


class Rows(Protocol):
    """Where rows go: `UsageRepository`."""

    async def add(self, records: Sequence[Record]) -> None:
        """Raises `StorageUnavailable` or `StorageRefused`."""
        ...


class Shipper:
    """One process's way from its journal to the database, which also settles what dead processes left behind.

    Rows are inserted by request id, so that whatever is shipped again changes nothing; a segment goes only when its
    rows are there. While the database is away everything waits in the files.
    """

    def __init__(self, journal: Journal, rows: Rows, ship_ms: int) -> None:
        self._journal = journal
        self._rows = rows
        self._ship_s = ship_ms / 1000
        self.damage = Damage(journal.folder / "damaged")
        self._shipped = 0
        self._away = False
        self._adopt_at = 0.0
        self._own = asyncio.Lock()
        self._dead = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def pending(self) -> int:
        """Finished requests of this process that are not in the database yet."""
        return self._journal.written - self._shipped

    def spoiled(self) -> dict[str, int]:
        """Lines that became no row, by their fate: `lost` before they were written, `damaged` and kept aside, `torn` by
        the death of their writer."""
        return {"lost": self._journal.lost, "damaged": self.damage.lines, "torn": self.damage.torn}

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="headgate-shipper")

    async def flush(self) -> None:
        """Ships all that is finished by now. Raises `StorageUnavailable` or `JournalUnavailable`."""
        await self._pass(dead=True)

    async def stop(self) -> None:
        """Ships once more, within `LAST_S`; what does not get there is in the journal for the next process."""
        self._stopping.set()
        try:
            async with asyncio.timeout(LAST_S):
                if self._task is not None:
                    await self._task
                await self.flush()
        except (StorageUnavailable, JournalUnavailable, TimeoutError) as error:
            log.warning("%d finished requests stay in the journal for the next start: %s", self.pending, error)

    async def _run(self) -> None:
        pause_s = self._ship_s
        while not await self._stopped_within(pause_s):
            try:
                await self._pass(dead=monotonic() >= self._adopt_at)
            except (StorageUnavailable, JournalUnavailable) as error:
                self._failed(error)
                pause_s = min(pause_s * 2, max(AWAY_S, self._ship_s))
            except Exception:
                log.exception("shipping usage failed; it will be tried again")
                pause_s = AWAY_S
            else:
                self._recovered()
                pause_s = self._ship_s

    async def _pass(self, dead: bool) -> None:
        try:
            self._journal.mend()
            await self._ship_own()
            if dead:
                await self._settle_dead()
                self._adopt_at = monotonic() + ADOPT_S
        except OSError as error:
            raise JournalUnavailable(f"the journal cannot be read: {error.strerror or error}") from None

    async def _stopped_within(self, pause_s: float) -> bool:
        try:
            async with asyncio.timeout(pause_s):
                await self._stopping.wait()
        except TimeoutError:
            return False
        return True

    async def _ship_own(self) -> None:
        async with self._own:
            for segment in tuple(self._journal.segments):
                sealed = segment is not self._journal.segments[-1]
                async for count in self._ship(segment, sealed, lines.closed):
                    self._shipped += count
                if sealed:
                    self._journal.drop(segment)

    async def _settle_dead(self) -> None:
        """Ships what dead processes left; what they had opened and not closed becomes rows marked interrupted."""
        if self._dead.locked():
            return
        async with self._dead:
            for segments in orphans(self._journal.folder):
                try:
                    await self._settle(segments)
                finally:
                    for segment in segments:
                        segment.close()

    async def _settle(self, segments: list[Segment]) -> None:
        left = lines.Left()
        shipped = 0
        for segment in segments:
            async for count in self._ship(segment, True, left.closed):
                shipped += count
        interrupted = [replace(record, status=0, error="interrupted") for record in left.open.values()]
        for start in range(0, len(interrupted), BATCH):
            self.damage.keep(segments[-1].path.name, await self._add(interrupted[start : start + BATCH]))
        for segment in segments:
            segment.delete()
        log.info("a dead process's journal was settled: %d finished, %d interrupted", shipped, len(interrupted))

    async def _ship(self, segment: Segment, sealed: bool, finished: lines.Finished) -> AsyncIterator[int]:
        """Ships a segment's closed lines from where it was, and says how many at every step, since the next one may
        fail. `sealed`: nobody writes to it now."""
        end = segment.size
        while segment.taken < end:
            chunk = segment.read(segment.taken, CHUNK_BYTES)
            whole = chunk.rfind(b"\n") + 1
            if not whole and len(chunk) < CHUNK_BYTES:
                if sealed:
                    self.damage.tear(segment.path.name, len(chunk))
                    segment.taken = end
                break
            taken = chunk[:whole] or chunk
            records, damaged = await self._decoded(taken, finished)
            refused = await self._add(records)
            self.damage.keep(segment.path.name, [*damaged, *refused])
            segment.taken += len(taken)
            yield len(records)
            await asyncio.sleep(0)

    async def _decoded(self, taken: bytes, finished: lines.Finished) -> tuple[list[Record], list[bytes]]:
        """What `finished` makes of a chunk, a piece at a time: requests are answered between them."""
        records: list[Record] = []
        damaged: list[bytes] = []
        start = 0
        while start < len(taken):
            end = taken.rfind(b"\n", start, start + PIECE_BYTES) + 1 or taken.find(b"\n", start) + 1 or len(taken)
            more, junk = finished(taken[start:end])
            records += more
            damaged += junk
            start = end
            await asyncio.sleep(0)
        return records, damaged

    async def _add(self, records: list[Record]) -> list[bytes]:
        """Adds rows; returns the lines of those that the database will never take, found by halving."""
        try:
            await self._rows.add(records)
        except StorageRefused:
            if len(records) == 1:
                return [lines.write(lines.CLOSED, records[0])]
            middle = len(records) // 2
            return [*await self._add(records[:middle]), *await self._add(records[middle:])]
        return []

    def _failed(self, error: Exception) -> None:
        if not self._away:
            log.error("usage waits in the journal: %s", error)
        self._away = True

    def _recovered(self) -> None:
        if self._away:
            log.warning("usage goes to the database again")
        self._away = False
