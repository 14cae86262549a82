"""Usage rows: added once, read newest first, summed."""

from __future__ import annotations

import pytest

from headgate.errors import BadRequest
from headgate.ledger.repository import By, UsageFilter, UsageRepository, moment
from headgate.storage.rows import WHOLE_MAX
from headgate.storage.session import Database
from headgate.types import Record, Usage
from tests.ledger.records import record

DAY_US = 86_400_000_000
ALL = UsageFilter()


@pytest.fixture
def usage(database: Database) -> UsageRepository:
    return UsageRepository(database)


async def everything(usage: UsageRepository, wanted: UsageFilter = ALL, limit: int = 3) -> list[Record]:
    found, cursor = [], None
    while True:
        page = await usage.page(wanted, limit, cursor)
        assert len(page.rows) <= limit
        found += page.rows
        if (cursor := page.next_cursor) is None:
            return found


async def test_a_row_comes_back_as_it_went_in(usage: UsageRepository) -> None:
    full = Record(
        "r1", 5, "key_1", "ci", "/v1/chat/completions", "fast", "gpt-4o", "openai", True, 2, 499, "client_left", True,
        Usage(10, 20, 3, 4, 5, 123_456_789, True), 1000, 2000, 3000, "session-1",
    )  # fmt: skip
    bare = Record("r2", 4, "key_1", "ci", "/v1/models")
    await usage.add([full, bare])
    assert await everything(usage) == [full, bare]


async def test_unknown_is_not_zero(usage: UsageRepository) -> None:
    await usage.add([record("none", usage=None, at_us=2), record("zero", usage=Usage(cost_nano=0), at_us=1)])
    assert [row.usage for row in await everything(usage)] == [None, Usage(cost_nano=0)]


async def test_a_request_has_one_row_and_the_first_one_stays(usage: UsageRepository) -> None:
    await usage.add([record("a", error="first"), record("a", error="second")])
    await usage.add([record("a", error="third"), record("b")])
    assert {row.request_id: row.error for row in await everything(usage)} == {"a": "first", "b": ""}


async def test_hostile_words_and_counts_are_stored(usage: UsageRepository) -> None:
    await usage.add(
        [record("a", model_asked="nul\0'; DROP TABLE usage; --", usage=Usage(prompt=10**30, completion=-(10**30)))]
    )
    (row,) = await everything(usage)
    assert row.model_asked == "nul\ufffd'; DROP TABLE usage; --"
    assert row.usage == Usage(prompt=WHOLE_MAX, completion=-WHOLE_MAX)


async def test_pages_run_from_the_newest_to_the_oldest_without_gap_or_overlap(usage: UsageRepository) -> None:
    made = [record(f"r{number:02}", at_us=number // 4) for number in range(23)]
    await usage.add(made)
    expected = sorted(made, key=lambda row: (row.at_us, row.request_id), reverse=True)
    assert await everything(usage) == expected
    first = await usage.page(UsageFilter(), 5)
    await usage.add([record("newer", at_us=99)])
    second = await usage.page(UsageFilter(), 5, first.next_cursor)
    assert [*first.rows, *second.rows] == expected[:10]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (UsageFilter(key_id="key_2"), "b"),
        (UsageFilter(model="other"), "c"),
        (UsageFilter(provider="ollama"), "d"),
        (UsageFilter(status=502), "e"),
        (UsageFilter(since_us=40), "ed"),
        (UsageFilter(until_us=20), "a"),
        (UsageFilter(since_us=20, until_us=50, status=200), "dcb"),
        (UsageFilter(key_id="' OR 1=1 --"), ""),
    ],
)
async def test_filters_narrow(usage: UsageRepository, wanted: UsageFilter, names: str) -> None:
    await usage.add(
        [
            record("a", at_us=10),
            record("b", at_us=20, key_id="key_2"),
            record("c", at_us=30, model_served="other"),
            record("d", at_us=40, provider="ollama"),
            record("e", at_us=50, status=502),
        ]
    )
    assert "".join(row.request_id for row in await everything(usage, wanted)) == names


@pytest.mark.parametrize("cursor", ["", "x", "é", "MTIz", "MQ==", "OTk5OTk5OTk5OTk5OTk5OTk5OSBh", "\0", "A" * 5000])
async def test_a_cursor_that_no_page_gave_is_refused(sqlite: Database, cursor: str) -> None:
    with pytest.raises(BadRequest) as refused:
        await UsageRepository(sqlite).page(UsageFilter(), 5, cursor)
    assert refused.value.param == "cursor"


@pytest.mark.parametrize("limit", [0, -1, 1001])
async def test_a_limit_out_of_range_is_refused(sqlite: Database, limit: int) -> None:
    with pytest.raises(BadRequest) as refused:
        await UsageRepository(sqlite).page(UsageFilter(), limit)
    assert refused.value.param == "limit"


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("model", ["gpt-4o-mini", "other"]),
        ("key", ["key_1", "key_2"]),
        ("provider", ["openai", "ollama"]),
        ("day", ["1970-01-01", "1970-01-02"]),
    ],
)
async def test_totals_are_the_sums_of_the_rows(usage: UsageRepository, by: By, names: list[str]) -> None:
    await usage.add(
        [
            record("a", at_us=1, usage=Usage(1, 2, 3, 0, 4, 50)),
            record("b", at_us=2, usage=Usage(10, 20, 30, 0, 40, None), error="x"),
            record("c", at_us=DAY_US, usage=None, key_id="key_2", model_served="other", provider="ollama"),
        ]
    )
    first, second = await usage.totals(UsageFilter(), by)
    assert [first.name, second.name] == names
    assert (first.requests, first.failed, first.prompt, first.completion, first.cached, first.reasoning) == (
        2, 1, 11, 22, 33, 44
    )  # fmt: skip
    assert (first.cost_nano, first.unpriced) == (50, 1)
    assert (second.requests, second.prompt, second.cost_nano, second.unpriced) == (1, 0, None, 0), "no tokens, no price"


async def test_totals_of_nothing_are_nothing(usage: UsageRepository) -> None:
    assert await usage.totals(UsageFilter(key_id="nobody"), "day") == []


@pytest.mark.parametrize(
    ("said", "us"),
    [
        ("0", 0),
        ("1700000000", 1_700_000_000_000_000),
        ("1700000000.5", 1_700_000_000_500_000),
        ("2023-11-14", 1_699_920_000_000_000),
        ("20231114", 1_699_920_000_000_000),
        ("20231114.5", 20_231_114_500_000),
        ("2023-11-14T22:13:20Z", 1_700_000_000_000_000),
        ("2023-11-14T23:13:20+01:00", 1_700_000_000_000_000),
    ],
)
def test_a_moment_is_epoch_seconds_or_iso(said: str, us: int) -> None:
    assert moment(said, "since") == us


@pytest.mark.parametrize("said", ["", "yesterday", "nan", "99999999", "-1", "1e400", "999999999999999999"])
def test_what_is_no_moment_is_refused_by_name(said: str) -> None:
    with pytest.raises(BadRequest) as refused:
        moment(said, "since")
    assert refused.value.param == "since"
