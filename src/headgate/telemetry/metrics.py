"""Metrics of one process, or of all processes of one home: counted as plain integers, read by Prometheus."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from headgate.telemetry.exposition import Gauge, exposition
from headgate.telemetry.snapshots import Snapshot, Snapshots
from headgate.telemetry.tally import Tally
from headgate.types import Record

_log = logging.getLogger(__name__)


class Alone:
    """The metrics of a process that serves by itself."""

    def __init__(self) -> None:
        self._tally = Tally()
        self._gauges: dict[str, tuple[str, tuple[str, ...], Callable[[], dict[tuple[str, ...], float]]]] = {}
        self._read_spoiled: Callable[[], dict[str, int]] = dict

    def gauge(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        """Adds a gauge; `read` is called whenever metrics are rendered."""
        self._gauges[name] = (meaning, (), lambda: {(): read()})

    def gauges(
        self, name: str, meaning: str, labels: tuple[str, ...], read: Callable[[], dict[tuple[str, ...], float]]
    ) -> None:
        """Adds a gauge with labels; `read` gives a number for each set of their values."""
        self._gauges[name] = (meaning, labels, read)

    def spoiled(self, read: Callable[[], dict[str, int]]) -> None:
        """Says who counts the journal lines that became no row; `read` is called whenever metrics are rendered."""
        self._read_spoiled = read

    def observe(self, record: Record) -> None:
        """Counts a finished request."""
        self._tally.observe(record)

    def followed(self, provider: str, code: str) -> None:
        """Counts a failed call that another one followed; the last of a request is counted by `observe`."""
        self._tally.upstream_failed(provider, code)

    def target_failed(self, provider: str, model: str, credential: str) -> None:
        """Counts every failed call to a target. The caller bounds the names."""
        self._tally.target_failed(provider, model, credential)

    def recalled(self, hit: bool) -> None:
        """Counts a look at what is kept."""
        self._tally.recalled(hit)

    def start(self) -> None:
        """Begins what goes on beside the requests. Called on the event loop."""

    def close(self) -> None:
        """Ends it."""

    def render(self) -> tuple[bytes, str]:
        """The text for Prometheus and its content type."""
        return exposition(self._counted(), self._read_gauges())

    def _counted(self) -> Tally:
        self._tally.spoiled = self._read_spoiled()
        return self._tally

    def _read_gauges(self) -> dict[str, Gauge]:
        return {name: Gauge(meaning, read(), labels) for name, (meaning, labels, read) in self._gauges.items()}


class Shared(Alone):
    """The metrics of all processes of `home`: whichever of them is asked answers for all.

    Each writes its numbers to a file every second and when asked; a kill loses what was counted since. Only the start
    and the end wait for other processes: in between a round that comes upon one is left out.
    """

    def __init__(self, home: Path, every_s: float = 1.0) -> None:
        super().__init__()
        self._snapshots = Snapshots(home / "run")
        self._id = uuid4().hex
        self._every_s = every_s
        self._saving = True
        self._timer: asyncio.TimerHandle | None = None
        self._rendered: tuple[bytes, str] | None = None

    def start(self) -> None:
        self._keep()
        self._timer = asyncio.get_running_loop().call_later(self._every_s, self.start)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._keep(patient=True)
        self._snapshots.close()

    def render(self) -> tuple[bytes, str]:
        """Everybody's numbers; as they were last while another process writes, and this one's own without a disk."""
        self._keep()
        try:
            with self._snapshots.locked():
                total = self._snapshots.total(self._snapshot())
        except BlockingIOError:
            return self._rendered or super().render()
        except OSError:
            return super().render()
        self._rendered = exposition(total.tally, total.gauges)
        return self._rendered

    def _keep(self, *, patient: bool = False) -> None:
        """Saves, and says once when the disk begins or ceases to serve: requests go on either way."""
        try:
            with self._snapshots.locked(patient=patient):
                self._snapshots.save(self._snapshot())
                self._snapshots.fold()
        except BlockingIOError:
            return
        except OSError as error:
            if self._saving:
                _log.warning("metrics are not shared between processes for now: %s", error)
            self._saving = False
        else:
            if not self._saving:
                _log.info("metrics are shared between processes again")
            self._saving = True

    def _snapshot(self) -> Snapshot:
        return Snapshot(self._id, self._counted(), self._read_gauges())
