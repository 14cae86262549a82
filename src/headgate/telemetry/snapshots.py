"""Files in which processes of one home tell each other what they have counted."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from headgate import __version__
from headgate.telemetry.exposition import Gauge
from headgate.telemetry.tally import Tally

_log = logging.getLogger(__name__)


class Snapshot(msgspec.Struct, array_like=True):
    """What one process has counted. `id` belongs to one life of one process."""

    id: str
    tally: Tally
    gauges: dict[str, Gauge]
    version: str = __version__


class Base(msgspec.Struct, array_like=True):
    """What processes that are gone had counted. `ids` are those among them whose files may still be there."""

    ids: list[str]
    tally: Tally
    version: str = __version__


File = TypeVar("File", Snapshot, Base)


class Snapshots:
    """The folder of one home: `metrics-<pid>.msgpack` for each process, `metrics-base.msgpack` for those that are gone.

    A process lives as long as it holds the lock on its `metrics-<pid>.lock`, which a kill releases too. Everything here
    wants `locked`, and raises `OSError` where the disk does not serve.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._base = folder / "metrics-base.msgpack"
        self._own = folder / f"metrics-{os.getpid()}.msgpack"
        with self.locked(patient=True):
            self.fold()
            self._life = _open(self._own.with_suffix(".lock"))
            fcntl.flock(self._life, fcntl.LOCK_EX)

    @contextmanager
    def locked(self, *, patient: bool = False) -> Iterator[None]:
        """Keeps the other processes out for the few milliseconds that reading and writing take.

        Raises `BlockingIOError` while another one has it, unless `patient`.
        """
        lock = _open(self._base.with_suffix(".lock"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if patient else fcntl.LOCK_NB))
            yield
        finally:
            os.close(lock)

    def save(self, snapshot: Snapshot) -> None:
        """Writes this process's numbers."""
        _write(self._own, snapshot)

    def total(self, own: Snapshot) -> Snapshot:
        """Everybody's numbers: those that are folded, those in the other files, and `own` from memory."""
        base = _read(self._base, Base) or Base([], Tally())
        base.tally.add(own.tally)
        gauges = {name: Gauge(gauge.meaning, dict(gauge.values), gauge.labels) for name, gauge in own.gauges.items()}
        for path in self._files():
            snapshot = _read(path, Snapshot)
            if snapshot is None or snapshot.id == own.id or snapshot.id in base.ids:
                continue
            base.tally.add(snapshot.tally)
            _add(gauges, snapshot.gauges)
        return Snapshot(own.id, base.tally, gauges)

    def fold(self) -> None:
        """Moves the numbers of the dead into the base.

        A crash between the two writes leaves a file whose id the base knows: it is not counted twice.
        """
        dead = [path for path in self._files() if not _lives(path)]
        if not dead:
            return
        base = _read(self._base, Base) or Base([], Tally())
        gone = [snapshot for path in dead if (snapshot := _read(path, Snapshot)) is not None]
        for snapshot in gone:
            if snapshot.id not in base.ids:
                base.tally.add(snapshot.tally)
        _write(self._base, Base([snapshot.id for snapshot in gone], base.tally))
        for path in dead:
            path.unlink()
            path.with_suffix(".lock").unlink(missing_ok=True)

    def close(self) -> None:
        """Leaves: from now on this process counts as gone."""
        os.close(self._life)

    def _files(self) -> list[Path]:
        return list(self._folder.glob("metrics-[0-9]*.msgpack"))


def _open(path: Path) -> int:
    return os.open(path, os.O_CREAT | os.O_RDWR, 0o600)


def _lives(path: Path) -> bool:
    lock = _open(path.with_suffix(".lock"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _read(path: Path, kind: type[File]) -> File | None:
    """The file; None where there is none, or where another version or a crash left one that cannot be read."""
    try:
        file = msgspec.msgpack.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        _log.warning("%s is left out of the metrics: %s", path, error)
        return None
    return file if file.version == __version__ else None


def _write(path: Path, file: Snapshot | Base) -> None:
    draft = path.with_suffix(".draft")
    draft.write_bytes(msgspec.msgpack.encode(file))
    draft.replace(path)


def _add(gauges: dict[str, Gauge], more: dict[str, Gauge]) -> None:
    for name, gauge in more.items():
        total = gauges.setdefault(name, Gauge(gauge.meaning, {}, gauge.labels)).values
        for labels, value in gauge.values.items():
            total[labels] = total.get(labels, 0) + value
