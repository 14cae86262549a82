"""The journal of one process: what it promises when a call returns, and what it does when it cannot keep that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from queue import Queue

import pytest

from headgate.errors import JournalUnavailable
from headgate.ledger import journal as journal_file
from headgate.ledger import segment as segment_file
from headgate.ledger.journal import Journal
from headgate.ledger.lines import CLOSED, OPENED, write
from headgate.ledger.segment import orphans
from tests.ledger.records import record, underway


def lines(folder: Path) -> list[bytes]:
    return [line for file in sorted(folder.glob("*.jsonl")) for line in file.read_bytes().splitlines(keepends=True)]


def test_a_line_is_in_the_file_when_the_call_returns(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", fsync_ms=1000)
    journal.opened(underway("a"))
    assert lines(journal.folder) == [write(OPENED, underway("a"))]
    journal.closed(record("a"))
    assert lines(journal.folder) == [write(OPENED, underway("a")), write(CLOSED, record("a"))]
    journal.close()


def test_nothing_is_made_before_there_is_a_line(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", fsync_ms=5)
    journal.close()
    assert not journal.folder.exists()


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> Queue[tuple[int, int]]:
    """What was brought to the disk: (inode, size) of each call, in order."""
    calls: Queue[tuple[int, int]] = Queue()
    fsync = os.fsync

    def watched(fd: int) -> None:
        fsync(fd)
        calls.put((os.fstat(fd).st_ino, os.fstat(fd).st_size))

    monkeypatch.setattr(os, "fsync", watched)
    return calls


def test_every_line_reaches_the_disk_soon_and_many_share_one_sync(
    tmp_path: Path, synced: Queue[tuple[int, int]]
) -> None:
    journal = Journal(tmp_path, fsync_ms=50)
    for number in range(1000):
        journal.opened(underway(f"r{number}"))
    whole = (journal.segments[0].path.stat().st_ino, journal.segments[0].size)
    folder = tmp_path.stat().st_ino
    seen: list[tuple[int, int]] = []
    while whole not in seen or folder not in {inode for inode, _ in seen}:
        seen.append(synced.get(timeout=5))
    assert len(seen) < 100
    journal.close()


def test_closing_brings_the_last_lines_to_the_disk(tmp_path: Path, synced: Queue[tuple[int, int]]) -> None:
    journal = Journal(tmp_path, fsync_ms=60_000)
    journal.opened(underway("a"))
    file = journal.segments[0].path.stat()
    journal.close()
    assert synced.get_nowait() == (file.st_ino, file.st_size)


def test_a_living_process_keeps_its_segments_and_a_dead_one_gives_them_up(tmp_path: Path) -> None:
    journal = Journal(tmp_path, fsync_ms=5)
    journal.opened(underway("a"))
    assert list(orphans(tmp_path)) == []
    journal.close()
    (left,) = orphans(tmp_path)
    assert [segment.path for segment in left] == list(tmp_path.glob("*.jsonl"))
    assert list(orphans(tmp_path)) == []
    for segment in left:
        segment.close()


def test_a_new_segment_starts_with_what_is_still_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_file, "SEGMENT_BYTES", 600)
    monkeypatch.setattr(journal_file, "SEGMENT_BYTES", 600)
    journal = Journal(tmp_path, fsync_ms=5)
    journal.opened(underway("long"))
    for number in range(20):
        journal.opened(underway(f"r{number}"))
        journal.closed(record(f"r{number}"))
    assert len(journal.segments) > 3
    for segment in journal.segments:
        assert segment.path.read_bytes().startswith(write(OPENED, underway("long")))
    journal.close()


def test_an_old_segment_takes_no_more_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_file, "SEGMENT_S", -1.0)
    journal = Journal(tmp_path, fsync_ms=5)
    journal.closed(record("a"))
    journal.closed(record("b"))
    assert len(journal.segments) == 2
    journal.close()


async def test_while_nothing_can_be_written_nothing_is_opened_and_then_it_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    folder.write_text("a file where the folder should be")
    journal = Journal(folder, fsync_ms=5)
    with pytest.raises(JournalUnavailable):
        journal.opened(underway("a"))
    journal.closed(record("b"))
    with pytest.raises(JournalUnavailable):
        await journal.check()
    folder.unlink()
    journal.opened(underway("c"))
    await journal.check()
    assert lines(folder) == [write(CLOSED, record("b")), write(OPENED, underway("c"))]
    journal.close()


def test_what_waits_in_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_file, "KEPT", 10)
    (tmp_path / "journal").write_text("")
    journal = Journal(tmp_path / "journal", fsync_ms=5)
    for number in range(15):
        journal.closed(record(f"r{number}"))
    assert journal.lost == 5
    (tmp_path / "journal").unlink()
    journal.mend()
    assert len(lines(journal.folder)) == 10
    journal.close()


def test_a_full_disk_loses_no_acknowledged_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.ledger.full_disk", str(tmp_path)], capture_output=True, check=True, timeout=30
    )
    saw = json.loads(done.stdout)
    assert saw["refused"] == [True, True, True, False]
    assert saw["written"] == [0, 2]
    first, second = sorted(tmp_path.glob("*.jsonl"))
    assert first.stat().st_size == saw["torn"]
    assert not first.read_bytes().endswith(b"\n")
    assert second.read_bytes().splitlines(keepends=True) == [
        write(OPENED, underway("before")),
        write(OPENED, underway("during")),
        write(CLOSED, record("during")),
        write(OPENED, underway("after")),
        write(CLOSED, record("after")),
    ]


def test_a_segment_that_was_removed_is_followed_by_a_new_one(tmp_path: Path) -> None:
    journal = Journal(tmp_path, fsync_ms=1)
    journal.opened(underway("a"))
    (removed,) = journal.segments
    removed.path.unlink()
    with pytest.raises(FileNotFoundError):
        removed.sync()
    removed.room = 0
    journal.closed(record("a"))
    assert lines(tmp_path) == [write(OPENED, underway("a")), write(CLOSED, record("a"))]
    journal.close()


def test_a_segment_whose_sync_fails_while_a_line_is_counted_takes_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(fd: int) -> None:
        raise OSError("the disk is gone")

    class Late(int):
        """A count of bytes during whose subtraction the other thread has its turn."""

        def __rsub__(self, room: int) -> int:
            with monkeypatch.context() as patch, suppress(OSError):
                patch.setattr(segment_file.os, "fsync", broken)
                journal.segments[-1].sync()
            return room - int(self)

    journal = Journal(tmp_path / "journal", fsync_ms=1000)
    journal.opened(underway("a"))
    write_now = os.write
    with monkeypatch.context() as patch:
        patch.setattr(segment_file.os, "write", lambda fd, data: Late(write_now(fd, data)))
        journal.opened(underway("b"))
    journal.opened(underway("c"))
    assert len(journal.segments) == 2
    journal.close()
