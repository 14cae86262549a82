"""One file of the journal: its name, its lock, its bytes. It knows lines, not what they say."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from threading import Lock

SEGMENT_BYTES = 8 * 1024 * 1024
"""A segment that has grown past this takes no more lines."""

_NAME = re.compile(r"(\d+-\d+)-\d+\.jsonl")


class Segment:
    """A journal file that this process holds locked (`flock`) until it is closed: whoever gets the lock of a file that
    still has its name knows that its writer is dead."""

    __slots__ = ("_fd", "_folder_unsynced", "_guard", "failed", "path", "room", "taken", "unsynced")

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self.room = SEGMENT_BYTES
        """Bytes that may still be appended, while nothing failed."""
        self.failed = False
        """Whether a line or the disk failed, so that it takes no more; set by any thread and never taken back."""
        self.taken = 0
        """Bytes whose rows are in the database."""
        self.unsynced = False
        self._folder_unsynced = True
        self._fd = fd
        self._guard = Lock()

    def append(self, lines: bytes) -> None:
        """Appends in one write. Raises `OSError`, and takes nothing more, when not every byte could be written."""
        try:
            written = os.write(self._fd, lines)
        except OSError:
            self.failed = True
            raise
        if written != len(lines):
            self.failed = True
            raise OSError(f"only {written} of {len(lines)} bytes could be written")
        self.room -= written

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return os.fstat(self._fd).st_size

    def read(self, offset: int, count: int) -> bytes:
        """At most `count` bytes from `offset`; empty at the end. Raises `OSError`."""
        return os.pread(self._fd, count, offset)

    def sync(self) -> None:
        """Brings what was appended to the disk; called from a thread of its own. Raises `OSError`, and takes no
        more lines, when that fails."""
        with self._guard:
            if self._fd < 0:
                return
            fd = os.dup(self._fd)
        try:
            self.unsynced = False
            os.fsync(fd)
            if os.fstat(fd).st_nlink == 0:
                raise FileNotFoundError(f"{self.path.name} was removed while it was written")
            if self._folder_unsynced:
                _sync_folder(self.path.parent)
                self._folder_unsynced = False
        except OSError:
            self.failed = True
            raise
        finally:
            os.close(fd)

    def delete(self) -> None:
        """Removes the file, then lets its lock go: never the other way round."""
        self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        with self._guard:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1


def create(folder: Path, name: str) -> Segment:
    """A new segment, locked. Raises `OSError`; `BlockingIOError` where another process took it for an orphan's."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{name}.jsonl"
    segment = _locked(path, os.O_APPEND | os.O_CREAT | os.O_EXCL)
    if segment is None:
        raise BlockingIOError(f"{path.name} was taken by another process")
    return segment


def orphans(folder: Path) -> Iterator[list[Segment]]:
    """The segments of each dead process, locked, oldest first: all of a process's or none. The caller closes them."""
    for run in sorted({match[1] for path in folder.glob("*.jsonl") if (match := _NAME.fullmatch(path.name))}):
        if segments := _adopt(folder, run):
            yield segments


def _adopt(folder: Path, run: str) -> list[Segment]:
    """While one segment is locked its process lives. Once one is ours no new one can appear, so a list that changed
    meanwhile was taken too early."""
    paths = sorted(folder.glob(f"{run}-*.jsonl"))
    with ExitStack() as held:
        try:
            segments = [held.enter_context(closing(segment)) for path in paths if (segment := _locked(path, 0))]
        except BlockingIOError:
            return []
        if sorted(folder.glob(f"{run}-*.jsonl")) != [segment.path for segment in segments]:
            return []
        held.pop_all()
    return segments


def _locked(path: Path, flags: int) -> Segment | None:
    """The segment, locked; None when it went while it was being locked. Raises `BlockingIOError` when it is held."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise
    if os.fstat(fd).st_nlink == 0:
        os.close(fd)
        return None
    return Segment(path, fd)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
