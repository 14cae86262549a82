"""What was asked and what it used, on the disk before anybody is answered: one write a line, no waiting."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from threading import Event, Thread
from time import monotonic, time_ns

from headgate.errors import JournalUnavailable
from headgate.ledger.lines import CLOSED, OPENED, write
from headgate.ledger.segment import SEGMENT_BYTES, Segment, create
from headgate.types import Record

SEGMENT_S = 3600.0
"""A segment that is older than this takes no more lines, so that shipped ones can go."""
KEPT = 10_000
"""How many lines of requests that went to no provider wait in memory while nothing can be written."""

log = logging.getLogger(__name__)


class Journal:
    """The append-only file of one process, in segments. It never reads and never touches a database.

    A line survives the death of the process when the call returns, and a power cut after at most `fsync_ms`. A new
    segment starts with the lines of the requests that are still open, so that older ones are needed by nobody once
    their closed lines are in the database.
    """

    def __init__(self, folder: Path, fsync_ms: int) -> None:
        """Writes nothing yet: the first line makes the folder and its first segment."""
        self.folder = folder
        self.segments: list[Segment] = []
        """Oldest first; the last one is being written."""
        self.written = 0
        """Closed lines on the disk, since the start."""
        self.lost = 0
        """Lines of requests that went to no provider, dropped because too many waited."""
        self._run = f"{time_ns()}-{os.getpid()}"
        self._number = 0
        self._due = 0.0
        self._open: dict[str, bytes] = {}
        self._kept: dict[str, bytes] = {}
        self._fault = ""
        self._fsync = _Fsync(self.segments, fsync_ms / 1000)

    def opened(self, record: Record) -> None:
        """Writes that a request is about to go to a provider. Raises `JournalUnavailable`: then it must not go."""
        self.mend()
        line = write(OPENED, record)
        self._append(line)
        self._open[record.request_id] = line

    def closed(self, record: Record) -> None:
        """Writes how a request ended. Never fails: what cannot be written now is kept and written later."""
        line = write(CLOSED, record)
        try:
            self._append(line)
        except JournalUnavailable:
            self._keep(record.request_id, line)
        else:
            self.written += 1
            self._open.pop(record.request_id, None)

    def mend(self) -> None:
        """Writes the closed lines that could not be written before. Raises `JournalUnavailable`."""
        if not self._kept:
            return
        self._append(b"".join(self._kept.values()))
        self.written += len(self._kept)
        for request_id in self._kept:
            self._open.pop(request_id, None)
        self._kept.clear()

    async def check(self) -> None:
        """Raises `JournalUnavailable` while the last line could not be written."""
        if self._fault:
            raise JournalUnavailable(self._fault)

    def drop(self, segment: Segment) -> None:
        """Deletes a segment whose rows are all in the database. Never the one that is being written."""
        self.segments.remove(segment)
        segment.delete()

    def close(self) -> None:
        """Brings everything to the disk and lets the locks go; rows not shipped yet are the next process's work."""
        try:
            self.mend()
        except JournalUnavailable:
            log.error("%d finished requests could not be written to the journal: %s", len(self._kept), self._fault)
        self._fsync.stop()
        for segment in self.segments:
            if segment.taken == segment.size and not self._open:
                segment.delete()
            segment.close()
        self.segments.clear()

    def _append(self, lines: bytes) -> None:
        try:
            segment = self.segments[-1] if self.segments else None
            if segment is None or segment.failed or segment.room <= 0 or monotonic() > self._due:
                segment = self._begin()
            segment.append(lines)
        except OSError as error:
            raise self._failed(error) from None
        if not segment.unsynced:
            self._fsync.wake(segment)
            self._recovered()

    def _begin(self) -> Segment:
        """A new segment that holds the lines of all open requests. Raises `OSError`, the old one staying in place."""
        self._number += 1
        segment = create(self.folder, f"{self._run}-{self._number:06d}")
        try:
            segment.append(b"".join(self._open.values()))
        except OSError:
            segment.delete()
            raise
        segment.room = SEGMENT_BYTES
        self._due = monotonic() + SEGMENT_S
        self.segments.append(segment)
        return segment

    def _keep(self, request_id: str, line: bytes) -> None:
        if request_id in self._open or len(self._kept) < KEPT:
            self._kept[request_id] = line
        else:
            self.lost += 1

    def _failed(self, error: OSError) -> JournalUnavailable:
        if not self._fault:
            log.error("the journal cannot be written, so nothing is served: %s", error)
        self._fault = f"the journal cannot be written: {error.strerror or error}"
        return JournalUnavailable(self._fault)

    def _recovered(self) -> None:
        if self._fault:
            log.warning("the journal can be written again")
            self._fault = ""


class _Fsync:
    """Brings written segments to the disk in a thread of its own, all lines of an interval at once."""

    def __init__(self, segments: list[Segment], interval_s: float) -> None:
        self._segments = segments
        self._interval_s = interval_s
        self._dirty = Event()
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="headgate-fsync", daemon=True)

    def wake(self, segment: Segment) -> None:
        segment.unsynced = True
        self._dirty.set()
        if not self._thread.ident:
            self._thread.start()

    def stop(self) -> None:
        """Ends the thread and does its work a last time."""
        self._stopping.set()
        self._dirty.set()
        if self._thread.ident:
            self._thread.join()
        self._sync_all()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._dirty.wait()
            self._stopping.wait(self._interval_s)
            self._dirty.clear()
            self._sync_all()

    def _sync_all(self) -> None:
        for segment in tuple(self._segments):
            if segment.unsynced:
                self._sync(segment)

    def _sync(self, segment: Segment) -> None:
        try:
            segment.sync()
        except OSError as error:
            log.error("a journal segment could not be brought to the disk; the next line begins a new one: %s", error)
