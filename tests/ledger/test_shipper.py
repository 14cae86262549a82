"""From the journal to the database: everything, once, whatever dies or is away in between."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from random import Random

import pytest

from headgate.errors import StorageRefused, StorageUnavailable
from headgate.ledger import journal as journal_file
from headgate.ledger import segment as segment_file
from headgate.ledger import shipper as shipper_file
from headgate.ledger.journal import Journal
from headgate.ledger.lines import CLOSED, OPENED, write
from headgate.ledger.repository import UsageFilter, UsageRepository
from headgate.ledger.shipper import Shipper
from headgate.storage.session import Database
from headgate.types import Record
from tests.ledger.records import record, underway


class Shelf:
    """Rows in memory, with a database's moods: away, or refusing some ids."""

    def __init__(self) -> None:
        self.rows: dict[str, Record] = {}
        self.away = False
        self.poison: set[str] = set()
        self.room = 10_000
        self.came = asyncio.Event()
        self.tried = asyncio.Event()

    async def add(self, records: Sequence[Record]) -> None:
        self.tried.set()
        if self.away or len(self.rows) >= self.room:
            raise StorageUnavailable("away")
        if any(row.request_id in self.poison for row in records):
            raise StorageRefused("refused")
        for row in records:
            self.rows.setdefault(row.request_id, row)
        if records:
            self.came.set()


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    journal = Journal(tmp_path / "journal", fsync_ms=5)
    yield journal
    journal.close()


def leave(folder: Path, *lines: bytes, run: str = "1-1", number: int = 1) -> Path:
    """A segment of a process that is dead."""
    folder.mkdir(exist_ok=True)
    file = folder / f"{run}-{number:06d}.jsonl"
    file.write_bytes(b"".join(lines))
    return file


async def rows(database: Database) -> dict[str, Record]:
    repository, found, cursor = UsageRepository(database), {}, None
    while True:
        page = await repository.page(UsageFilter(), 1000, cursor)
        found |= {row.request_id: row for row in page.rows}
        if (cursor := page.next_cursor) is None:
            return found


async def test_finished_requests_become_rows(database: Database, journal: Journal) -> None:
    shipper = Shipper(journal, UsageRepository(database), ship_ms=10)
    journal.opened(underway("a"))
    journal.opened(underway("b"))
    journal.closed(record("a"))
    assert shipper.pending == 1
    await shipper.flush()
    assert await rows(database) == {"a": record("a")}
    assert shipper.pending == 0
    journal.closed(record("b"))
    await shipper.flush()
    assert set(await rows(database)) == {"a", "b"}


async def test_rows_come_by_themselves(shelf: Shelf, journal: Journal) -> None:
    shipper = Shipper(journal, shelf, ship_ms=5)
    shipper.start()
    journal.closed(record("a"))
    async with asyncio.timeout(5):
        await shelf.came.wait()
    await shipper.stop()
    assert set(shelf.rows) == {"a"}


async def test_stopping_ships_the_last_rows(shelf: Shelf, journal: Journal) -> None:
    shipper = Shipper(journal, shelf, ship_ms=60_000)
    shipper.start()
    journal.closed(record("a"))
    await shipper.stop()
    assert set(shelf.rows) == {"a"}
    journal.close()
    assert list(journal.folder.glob("*.jsonl")) == []


async def test_a_segment_goes_when_its_rows_are_there(
    shelf: Shelf, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_file, "SEGMENT_BYTES", 600)
    monkeypatch.setattr(journal_file, "SEGMENT_BYTES", 600)
    journal.opened(underway("long"))
    for number in range(20):
        journal.closed(record(f"r{number}"))
    shipper = Shipper(journal, shelf, ship_ms=10)
    await shipper.flush()
    assert len(shelf.rows) == 20
    assert [segment.path for segment in journal.segments] == sorted(journal.folder.glob("*.jsonl"))
    assert len(journal.segments) == 1


async def test_what_waits_is_counted_right_when_the_database_goes_in_the_middle_of_a_segment(
    shelf: Shelf, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipper_file, "CHUNK_BYTES", 1024)
    shipper = Shipper(journal, shelf, ship_ms=10)
    for number in range(40):
        journal.closed(record(f"r{number}"))
    shelf.room = 10
    with pytest.raises(StorageUnavailable):
        await shipper.flush()
    assert 10 <= len(shelf.rows) < 40
    assert shipper.pending == 40 - len(shelf.rows)
    shelf.room = 10_000
    await shipper.flush()
    assert shipper.pending == 0


async def test_while_the_database_is_away_everything_waits_and_is_said_once(
    shelf: Shelf, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    shelf.away = True
    shipper = Shipper(journal, shelf, ship_ms=1)
    with caplog.at_level(logging.INFO, logger="headgate.ledger"):
        journal.closed(record("a"))
        shipper.start()
        for _ in range(3):
            shelf.tried.clear()
            async with asyncio.timeout(5):
                await shelf.tried.wait()
        assert shipper.pending == 1
        shelf.away = False
        async with asyncio.timeout(5):
            await shelf.came.wait()
        await shipper.stop()
    assert set(shelf.rows) == {"a"}
    assert [line.message for line in caplog.records] == [
        "usage waits in the journal: away",
        "usage goes to the database again",
    ]


async def test_a_row_that_the_database_never_takes_does_not_stop_the_others(shelf: Shelf, journal: Journal) -> None:
    shelf.poison = {"r7", "r11"}
    shipper = Shipper(journal, shelf, ship_ms=10)
    for number in range(20):
        journal.closed(record(f"r{number}"))
    await shipper.flush()
    assert set(shelf.rows) == {f"r{number}" for number in range(20)} - shelf.poison
    (kept,) = (journal.folder / "damaged").iterdir()
    assert kept.read_bytes() == write(CLOSED, record("r7")) + write(CLOSED, record("r11"))
    assert shipper.damage.lines == 2


async def test_what_a_dead_process_left_is_settled(database: Database, journal: Journal) -> None:
    leave(journal.folder, write(OPENED, underway("a")), write(OPENED, underway("b")), write(CLOSED, record("a")))
    await Shipper(journal, UsageRepository(database), ship_ms=10).flush()
    assert await rows(database) == {"a": record("a"), "b": underway("b", error="interrupted")}
    assert list(journal.folder.glob("*.jsonl")) == []


async def test_a_dead_process_is_read_over_all_its_segments(shelf: Shelf, journal: Journal) -> None:
    leave(journal.folder, write(OPENED, underway("a")), write(OPENED, underway("b")))
    leave(journal.folder, write(OPENED, underway("b")), write(CLOSED, record("b")), number=2)
    leave(journal.folder, write(OPENED, underway("b")), run="2-2")
    shipper = Shipper(journal, shelf, ship_ms=10)
    await shipper.flush()
    assert shelf.rows == {"a": underway("a", error="interrupted"), "b": record("b")}


async def test_what_was_shipped_before_the_death_is_not_doubled(database: Database, journal: Journal) -> None:
    repository = UsageRepository(database)
    await repository.add([record("a", error="first")])
    leave(journal.folder, write(CLOSED, record("a")), write(CLOSED, record("b")))
    await Shipper(journal, repository, ship_ms=10).flush()
    assert await rows(database) == {"a": record("a", error="first"), "b": record("b")}


async def test_a_line_cut_by_a_power_failure_is_counted_and_passed_over(shelf: Shelf, journal: Journal) -> None:
    file = leave(journal.folder, write(CLOSED, record("a")), write(CLOSED, record("b"))[:30])
    shipper = Shipper(journal, shelf, ship_ms=10)
    await shipper.flush()
    assert set(shelf.rows) == {"a"}
    assert (shipper.damage.torn, shipper.damage.lines) == (1, 0)
    assert not file.exists()


async def test_damaged_lines_are_kept_apart(shelf: Shelf, journal: Journal) -> None:
    junk = b"\0" * (shipper_file.CHUNK_BYTES * 2 + 100) + b"\n"
    leave(journal.folder, write(CLOSED, record("a")), b"junk\n", junk, write(CLOSED, record("b")))
    shipper = Shipper(journal, shelf, ship_ms=10)
    await shipper.flush()
    assert set(shelf.rows) == {"a", "b"}
    (kept,) = (journal.folder / "damaged").iterdir()
    assert kept.read_bytes().replace(b"\n", b"") == b"junk" + junk[:-1]


async def test_two_shippers_settle_a_dead_process_once(database: Database, journal: Journal, tmp_path: Path) -> None:
    for run in range(6):
        many = [write(CLOSED, record(f"{run}-{number}")) for number in range(50)]
        leave(journal.folder, *many, write(OPENED, underway(f"{run}-open")), run=f"1-{run}")
    other = Journal(journal.folder, fsync_ms=5)
    shippers = [Shipper(each, UsageRepository(database), ship_ms=10) for each in (journal, other)]
    await asyncio.gather(*(shipper.flush() for shipper in shippers))
    await asyncio.gather(*(shipper.flush() for shipper in shippers))
    found = await rows(database)
    assert len(found) == 6 * 51
    assert sum(row.error == "interrupted" for row in found.values()) == 6
    assert list(journal.folder.glob("*.jsonl")) == []
    other.close()


def kill_at_random(folder: Path, database_url: str, chance: Random) -> tuple[set[str], set[str]]:
    """Runs `busy` until a random number of acknowledgements was seen; returns what it said: opened and closed ids."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.ledger.busy", str(folder), database_url], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(chance.randint(1, 400))]
    process.kill()
    said += process.stdout.readlines()
    process.stdout.close()
    process.wait()
    words = [line.split() for line in said if line.endswith(b"\n")]
    return (
        {name.decode() for kind, name in words if kind == b"o"},
        {name.decode() for kind, name in words if kind == b"c"},
    )


@pytest.mark.parametrize(
    ("kills", "ships"),
    [(14, False), (6, True), *(pytest.param(100, ships, marks=pytest.mark.torture) for ships in (False, True))],
)
async def test_no_kill_loses_or_doubles_an_acknowledged_line(
    sqlite: Database, tmp_path: Path, kills: int, ships: bool, record_property: pytest.RecordProperty
) -> None:
    seed = Random().randrange(2**32)
    record_property("seed", seed)
    chance = Random(seed)
    folder = tmp_path / "journal"
    url = f"sqlite+aiosqlite:///{sqlite.file}" if ships else ""
    opened: set[str] = set()
    closed: set[str] = set()
    for _ in range(kills):
        said = await asyncio.to_thread(kill_at_random, folder, url, chance)
        opened |= said[0]
        closed |= said[1]
    journal = Journal(folder, fsync_ms=5)
    shipper = Shipper(journal, UsageRepository(sqlite), ship_ms=10)
    await shipper.flush()
    found = await rows(sqlite)
    assert shipper.damage.lines == 0
    assert {name for name, row in found.items() if row.status == 200} >= closed
    assert found.keys() >= opened
    assert len(found) <= len(opened) + kills, "a row without a request"
    assert all(row.error == "interrupted" for row in found.values() if row.status == 0)
    assert list(folder.glob("*.jsonl")) == []
    journal.close()
