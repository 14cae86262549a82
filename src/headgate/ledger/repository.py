"""Usage rows in the database: added by the shipper, read newest first. All SQL of the ledger is here."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import chain
from typing import Any, Literal

import msgspec
from sqlalchemy import Dialect, Row, Select, and_, case, cast, func, insert, select, tuple_
from sqlalchemy.sql import ColumnElement

from headgate.errors import BadRequest
from headgate.ledger.tables import usage
from headgate.storage.rows import WHOLE_MAX, Whole
from headgate.storage.session import Database
from headgate.types import Record, Usage

PAGE_MAX = 1000
TOGETHER = (256, 64, 16, 4, 1)
"""Rows of one statement on SQLite, whose driver lets go of the interpreter once a statement: with one for each row,
every row would wait for the threads that answer requests, and they for it. Few sizes, so that all stay prepared."""
DAY_US = 86_400_000_000
_CURSOR = re.compile(r"(-?\d{1,19}) (.+)", re.S)


class UsageFilter(msgspec.Struct, frozen=True):
    """Which rows: those that agree with everything that is said. Times in epoch microseconds, `until_us` excluded."""

    key_id: str | None = None
    model: str | None = None
    """The model that served."""
    provider: str | None = None
    status: int | None = None
    since_us: int | None = None
    until_us: int | None = None


class UsagePage(msgspec.Struct, frozen=True):
    """Some rows, newest first, and the cursor of what follows; None after the last."""

    rows: list[Record]
    next_cursor: str | None


By = Literal["model", "key", "provider", "day"]


class UsageTotal(msgspec.Struct, frozen=True):
    """The sum of one model's, key's, provider's or day's rows.

    `failed` had an error; `unpriced` used tokens whose price is not known, which `cost_nano` leaves out: None where no
    row has a cost.
    """

    name: str
    requests: int
    failed: int
    prompt: int
    completion: int
    cached: int
    reasoning: int
    cost_nano: int | None
    unpriced: int


class UsageRepository:
    """The usage table. Methods raise `StorageUnavailable`, adding `StorageRefused` too."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, records: Sequence[Record]) -> None:
        """Inserts those that are not there yet, by request id, in one transaction."""
        if not records:
            return
        async with self._database.begin() as connection:
            sqlite = connection.dialect.name == "sqlite"
            for part in _parts(records):
                rows = [_row(record) for record in part]
                if sqlite:
                    rows_at_once = tuple(chain.from_iterable(rows))
                    await connection.exec_driver_sql(_insert(connection.dialect, len(rows)), rows_at_once)
                else:
                    await connection.exec_driver_sql(_insert(connection.dialect), rows)

    async def page(self, wanted: UsageFilter, limit: int, cursor: str | None = None) -> UsagePage:
        """At most `limit` (1…1000) rows from `cursor` on. Raises `BadRequest` (`limit`, `cursor`)."""
        if not 1 <= limit <= PAGE_MAX:
            raise BadRequest(f"limit is {limit}; expected 1 to {PAGE_MAX}", param="limit")
        place = tuple_(usage.c.at_us, usage.c.request_id)
        query = _narrowed(select(usage), wanted).order_by(usage.c.at_us.desc(), usage.c.request_id.desc())
        if cursor is not None:
            query = query.where(place < tuple_(*_place(cursor)))
        async with self._database.read() as connection:
            found = (await connection.execute(query.limit(limit + 1))).all()
        rows = [_record(row) for row in found[:limit]]
        return UsagePage(rows, _cursor(rows[-1]) if len(found) > limit else None)

    async def totals(self, wanted: UsageFilter, by: By) -> list[UsageTotal]:
        """Sums by model served, key id, provider or day (UTC); the largest number of requests first, days in order."""
        group = _GROUPS[by]
        query = _narrowed(select(group, *_SUMS), wanted).group_by(group)
        query = query.order_by(group if by == "day" else func.count().desc(), group)
        async with self._database.read() as connection:
            found = (await connection.execute(query)).all()
        return [UsageTotal(_day(row[0]) if by == "day" else row[0], *row[1:]) for row in found]


def moment(said: str, param: str) -> int:
    """Reads epoch seconds or an ISO 8601 time (UTC where it names no zone) into epoch microseconds.
    Eight digits are a date.

    Raises `BadRequest` that names `param`.
    """
    try:
        if re.fullmatch(r"(?!\d{8}$)\d{1,11}(\.\d+)?", said):
            return int(float(said) * 1_000_000)
        time = datetime.fromisoformat(said)
        time = time if time.tzinfo else time.replace(tzinfo=UTC)
        return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        raise BadRequest(f"{param} is no time; expected epoch seconds or ISO 8601", param=param) from None


def _parts(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """The records in parts of the sizes of `TOGETHER`, the largest first."""
    start = 0
    for size in TOGETHER:
        while len(records) - start >= size:
            yield records[start : start + size]
            start += size


@cache
def _insert(dialect: Dialect, rows: int = 1) -> str:
    """SQL text for the driver itself: five times faster than building each row's parameters."""
    one = str(insert(usage).compile(dialect=dialect))
    values = one[one.index("VALUES ") + len("VALUES ") :]
    return f"{one}{f', {values}' * (rows - 1)} ON CONFLICT DO NOTHING"


def _row(record: Record) -> tuple[Any, ...]:
    """The record in the order of the table's columns; what no column can hold is cut to what it can."""
    return (
        _word(record.request_id),
        record.at_us,
        _word(record.key_id),
        _word(record.key_name),
        record.route,
        _word(record.model_asked),
        _word(record.model_served),
        _word(record.provider),
        record.stream,
        record.attempts,
        record.status,
        _word(record.error),
        record.partial,
        *(_NO_USAGE if record.usage is None else _counts(record.usage)),
        record.first_token_us,
        record.upstream_us,
        record.total_us,
        _word(record.session),
    )


_NO_USAGE = (None,) * 7
_COUNTED = (
    "prompt_tokens", "completion_tokens", "cached_tokens", "cache_written_tokens", "reasoning_tokens", "cost_nano",
    "estimated",
)  # fmt: skip
"""The columns that `Usage` becomes, in the order of its fields."""


def _counts(said: Usage) -> tuple[int | None, ...]:
    return (
        _whole(said.prompt),
        _whole(said.completion),
        _whole(said.cached),
        _whole(said.cache_written),
        _whole(said.reasoning),
        None if said.cost_nano is None else _whole(said.cost_nano),
        said.estimated,
    )


def _word(said: str) -> str:
    """PostgreSQL's text has no NUL."""
    return said if "\0" not in said else said.replace("\0", "\ufffd")


def _whole(count: int) -> int:
    """A provider may say any number; a column keeps 64 bits."""
    return count if -WHOLE_MAX <= count <= WHOLE_MAX else max(-WHOLE_MAX, min(count, WHOLE_MAX))


def _record(row: Row[Any]) -> Record:
    facts = dict(row._mapping)
    counts = [facts.pop(name) for name in _COUNTED]
    return Record(usage=None if counts[0] is None else Usage(*counts), **facts)


def _narrowed(query: Select[Any], wanted: UsageFilter) -> Select[Any]:
    for name, condition in _CONDITIONS.items():
        if (said := getattr(wanted, name)) is not None:
            query = query.where(condition(said))
    return query


_CONDITIONS: dict[str, Callable[[Any], ColumnElement[bool]]] = {
    "key_id": lambda said: usage.c.key_id == said,
    "model": lambda said: usage.c.model_served == said,
    "provider": lambda said: usage.c.provider == said,
    "status": lambda said: usage.c.status == said,
    "since_us": lambda said: usage.c.at_us >= said,
    "until_us": lambda said: usage.c.at_us < said,
}


def _total(column: ColumnElement[Any]) -> ColumnElement[int]:
    """PostgreSQL sums 64-bit numbers into its decimal type."""
    return cast(func.coalesce(func.sum(column), 0), Whole)


_GROUPS: dict[By, ColumnElement[Any]] = {
    "model": usage.c.model_served,
    "key": usage.c.key_id,
    "provider": usage.c.provider,
    "day": usage.c.at_us // DAY_US,
}
_SUMS = (
    func.count(),
    _total(case((usage.c.error != "", 1), else_=0)),
    _total(usage.c.prompt_tokens),
    _total(usage.c.completion_tokens),
    _total(usage.c.cached_tokens),
    _total(usage.c.reasoning_tokens),
    cast(func.sum(usage.c.cost_nano), Whole),
    _total(case((and_(usage.c.cost_nano.is_(None), usage.c.prompt_tokens.is_not(None)), 1), else_=0)),
)


def _day(number: int) -> str:
    return (date(1970, 1, 1) + timedelta(days=number)).isoformat()


def _cursor(row: Record) -> str:
    return urlsafe_b64encode(f"{row.at_us} {row.request_id}".encode()).decode().rstrip("=")


def _place(cursor: str) -> tuple[int, str]:
    try:
        said = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        match = _CURSOR.fullmatch(said)
    except ValueError:
        match = None
    if match is None or abs(int(match[1])) > WHOLE_MAX or "\0" in match[2]:
        raise BadRequest("this cursor was not made by a page of usage", param="cursor")
    return int(match[1]), match[2]
