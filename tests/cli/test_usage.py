"""Usage from the command line, out of a real database."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from time import time, tzset

import pytest
from click.testing import CliRunner, Result

from headgate.cli import main
from headgate.cli.usage import Moment
from headgate.ledger.repository import UsageRepository
from headgate.storage.schema import migrate
from headgate.storage.session import Database
from headgate.types import Record, Secret, Usage

NOON_US = 1_795_262_400_000_000
"""2026-11-21T12:00:00Z"""
DAY_US = 86_400_000_000

RECORDS = [
    Record("r1", NOON_US, "key_a", "mobile", "chat", "gpt", "gpt-4o", "openai", status=200, usage=Usage(10, 5),
           total_us=1500),
    Record("r2", NOON_US + 1, "key_b", "=1+1", "chat", "fast", "gpt-4o", "openai", status=200,
           usage=Usage(1, 2, cost_nano=1_500_000), first_token_us=250),
    Record("r3", NOON_US - DAY_US, "key_a", "mobile", "chat", "\x1b[2Jbad", status=404, error="model_not_found"),
]  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Path:
    asyncio.run(_fill(Secret(f"sqlite+aiosqlite:///{tmp_path}/headgate.db"), RECORDS))
    return tmp_path


async def _fill(url: Secret, records: list[Record]) -> None:
    await migrate(url)
    database = Database(url)
    await UsageRepository(database).add(records)
    await database.close()


def run(home: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["usage", *words, "--home", str(home)])


def requests(home: Path, *words: str) -> list[str]:
    return [row["request_id"] for row in json.loads(run(home, *words, "--format", "json").stdout)]


def test_requests_are_listed_newest_first(home: Path) -> None:
    assert requests(home) == ["r2", "r1", "r3"]
    assert requests(home, "--limit", "1") == ["r2"]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("--key", "key_a"), ["r1", "r3"]),
        (("--model", "gpt-4o"), ["r2", "r1"]),
        (("--provider", "openai", "--status", "200"), ["r2", "r1"]),
        (("--status", "404"), ["r3"]),
        (("--since", "2026-11-21"), ["r2", "r1"]),
        (("--until", "2026-11-21T14:00:00+02:00"), ["r3"]),
        (("--since", "2026-11-20T12:00:00Z", "--until", "2026-11-21"), ["r3"]),
    ],
)
def test_filters_narrow_the_list(words: tuple[str, ...], found: list[str], home: Path) -> None:
    assert requests(home, *words) == found


@pytest.mark.parametrize(("said", "seconds"), [("90m", 5400), ("24h", 86400), ("7d", 604800)])
def test_a_moment_may_be_a_time_ago(said: str, seconds: int) -> None:
    ago_s = time() - Moment().convert(said, None, None) / 1_000_000
    assert seconds - 1 < ago_s < seconds + 60


@pytest.fixture
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        tzset()
        yield
    tzset()


@pytest.mark.usefixtures("tokyo")
def test_a_moment_without_a_zone_is_utc_wherever_it_is_read() -> None:
    assert Moment().convert("2026-11-21T12:00:00", None, None) == NOON_US


@pytest.mark.parametrize("moment", ["yesterday", "9999d9", "2026-13-01", "99999999999999d"])
def test_a_moment_that_is_none_is_refused(moment: str, home: Path) -> None:
    done = run(home, "--since", moment)
    assert done.exit_code == 2
    assert "24h" in done.stderr


def test_what_nobody_reported_is_empty_and_prices_are_exact(home: Path) -> None:
    rows = {row["request_id"]: row for row in json.loads(run(home, "--format", "json").stdout)}
    assert (rows["r1"]["usd"], rows["r1"]["prompt"], rows["r1"]["total_ms"]) == (None, 10, 1.5)
    assert (rows["r2"]["usd"], rows["r2"]["first_ms"]) == ("0.0015", 0.25)
    assert (rows["r3"]["usd"], rows["r3"]["prompt"], rows["r3"]["error"]) == (None, None, "model_not_found")


def test_hostile_names_do_nothing(home: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(run(home, "--format", "csv").stdout)))
    assert rows[0]["name"] == "'=1+1"
    for format in ("table", "csv", "json"):
        assert "\x1b" not in run(home, "--format", format).stdout


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("model", {"gpt-4o": 2, "": 1}),
        ("key", {"key_a": 2, "key_b": 1}),
        ("provider", {"openai": 2, "": 1}),
        ("day", {"2026-11-20": 1, "2026-11-21": 2}),
    ],
)
def test_sums_count_every_request_once(by: str, names: dict[str, int], home: Path) -> None:
    rows = json.loads(run(home, "--by", by, "--format", "json").stdout)
    assert {row[by]: row["requests"] for row in rows} == names
    assert sum(row["prompt"] for row in rows) == 11
    assert {row["usd"] for row in rows} <= {"0.0015", None}


def test_more_than_a_page_is_read_whole(tmp_path: Path) -> None:
    records = [Record(f"r{number:05}", NOON_US + number, "k", "", "chat") for number in range(2100)]
    asyncio.run(_fill(Secret(f"sqlite+aiosqlite:///{tmp_path}/headgate.db"), records))
    found = requests(tmp_path, "--limit", "2050")
    assert found == [f"r{number:05}" for number in range(2099, 49, -1)]
