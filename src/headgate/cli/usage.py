"""`headgate usage`: what was used, request by request or summed up, from the database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from headgate.cli.options import database, settings
from headgate.cli.table import FORMAT, Cell, Format, Rows, date_of, show

if TYPE_CHECKING:
    from headgate.ledger.repository import UsageFilter
    from headgate.types import Record

By = Literal["model", "key", "provider", "day"]


class Moment(click.ParamType[int]):
    """A moment as a person writes it: `2026-11-21`, `2026-11-21T10:00:00Z`, or `90m`, `24h`, `7d` ago. UTC unless
    it says otherwise. Becomes epoch microseconds."""

    name = "moment"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        said = str(value)
        units = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
        try:
            if said[-1:] in units:
                moment = datetime.now(UTC) - int(said[:-1]) * units[said[-1]]
            else:
                moment = datetime.fromisoformat(said)
        except (ValueError, OverflowError):
            self.fail("expected a date, a date and time, or 90m, 24h or 7d for a time ago", param, ctx)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000_000)


@click.command()
@click.option("--since", type=Moment(), help="Not before: 2026-11-21, 2026-11-21T10:00:00Z, or 24h for a time ago.")
@click.option("--until", type=Moment(), help="Before this moment.")
@click.option("--model", help="Only this model, as it was served.")
@click.option("--key", help="Only this key's id.")
@click.option("--provider", help="Only this provider.")
@click.option("--status", type=int, help="Only this HTTP status.")
@click.option("--by", type=click.Choice(["model", "key", "provider", "day"]), help="Sums instead of requests.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="The most requests.")
@FORMAT
@settings
def usage(
    since: int | None,
    until: int | None,
    model: str | None,
    key: str | None,
    provider: str | None,
    status: int | None,
    by: By | None,
    limit: int,
    format: Format,
    config: Path | None,
    home: Path | None,
) -> None:
    """Show what was used, newest first.

    A request is listed once it ended and reached the database, which takes about half a second.

    \b
    The last day by model:
      headgate usage --since 24h --by model
    All of November, for a spreadsheet:
      headgate usage --since 2026-11-01 --until 2026-12-01 --limit 100000 --format csv
    """
    from headgate.ledger.repository import UsageFilter

    wanted = UsageFilter(key_id=key, model=model, provider=provider, status=status, since_us=since, until_us=until)
    flags: dict[str, object] = {"config": config, "home": home}
    columns, rows = asyncio.run(_totals(flags, wanted, by) if by else _requests(flags, wanted, limit))
    show(columns, rows, format)


async def _requests(flags: dict[str, object], wanted: UsageFilter, limit: int) -> tuple[Sequence[str], Rows]:
    from headgate.ledger.repository import PAGE_MAX, UsageRepository

    found: list[Record] = []
    cursor: str | None = None
    async with database(flags) as opened:
        while len(found) < limit:
            page = await UsageRepository(opened).page(wanted, min(limit - len(found), PAGE_MAX), cursor)
            found += page.rows
            cursor = page.next_cursor
            if cursor is None:
                break
    return list(REQUEST), [[read(row) for read in REQUEST.values()] for row in found]


async def _totals(flags: dict[str, object], wanted: UsageFilter, by: By) -> tuple[Sequence[str], Rows]:
    from headgate.ledger.repository import UsageRepository

    async with database(flags) as opened:
        found = await UsageRepository(opened).totals(wanted, by)
    columns = (by, "requests", "failed", "prompt", "completion", "cached", "reasoning", "usd", "unpriced")
    return columns, [
        (
            total.name,
            total.requests,
            total.failed,
            total.prompt,
            total.completion,
            total.cached,
            total.reasoning,
            usd(total.cost_nano),
            total.unpriced,
        )
        for total in found
    ]


REQUEST: dict[str, Callable[[Record], Cell]] = {
    "time": lambda row: date_of(row.at_us),
    "key": lambda row: row.key_id,
    "name": lambda row: row.key_name,
    "model": lambda row: row.model_served or row.model_asked,
    "provider": lambda row: row.provider,
    "status": lambda row: row.status,
    "error": lambda row: row.error,
    "prompt": lambda row: row.usage.prompt if row.usage else None,
    "completion": lambda row: row.usage.completion if row.usage else None,
    "cached": lambda row: row.usage.cached if row.usage else None,
    "reasoning": lambda row: row.usage.reasoning if row.usage else None,
    "usd": lambda row: usd(row.usage.cost_nano) if row.usage else None,
    "first_ms": lambda row: ms(row.first_token_us),
    "total_ms": lambda row: ms(row.total_us),
    "request_id": lambda row: row.request_id,
}
"""What is shown of a request. Tokens and prices that nobody reported are empty, never zero."""


def usd(nano: int | None) -> str | None:
    """Nanodollars as dollars, exact."""
    return None if nano is None else f"{Decimal(nano).scaleb(-9).normalize():f}"


def ms(us: int | None) -> float | None:
    return None if us is None else us / 1000
