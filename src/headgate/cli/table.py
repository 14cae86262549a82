"""Rows on standard output: a table for people, JSON and CSV for programs. No cell can do anything to who reads it."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Callable, Sequence
from typing import Literal

import click

from headgate.cli.options import printable

Cell = str | int | float | bool | None
Rows = Sequence[Sequence[Cell]]
Format = Literal["table", "json", "csv"]

FORMAT = click.option(
    "--format", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True, help="How to print it."
)


def show(columns: Sequence[str], rows: Rows, format: Format = "table") -> None:
    """Prints rows below their column names."""
    click.echo(_WRITERS[format](columns, rows), nl=False)


def as_json(columns: Sequence[str], rows: Rows) -> str:
    """An array of objects, one a row."""
    import msgspec

    items = [dict(zip(columns, row, strict=True)) for row in rows]
    text = msgspec.json.format(msgspec.json.encode(items), indent=2).decode()
    return re.sub(r"[\x7f-\x9f\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text) + "\n"


def as_csv(columns: Sequence[str], rows: Rows) -> str:
    """RFC 4180 with LF. A text that a spreadsheet would run as a formula begins with an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_inert(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    return out.getvalue()


def _inert(text: str) -> str:
    quoted = f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
    return printable(quoted)


def as_table(columns: Sequence[str], rows: Rows) -> str:
    """Columns in a frame on a terminal, else columns alone."""
    texts = [["" if cell is None else printable(str(cell)) for cell in row] for row in rows]
    return _framed(columns, rows, texts) if sys.stdout.isatty() else _aligned(columns, texts)


def date_of(us: int | None) -> str:
    """Epoch microseconds as RFC 3339 in UTC, to the second; empty for none."""
    from datetime import UTC, datetime

    return "" if us is None else datetime.fromtimestamp(us / 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _aligned(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    lines = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in (columns, *rows)]
    return "".join("  ".join(line).rstrip() + "\n" for line in lines)


def _framed(columns: Sequence[str], rows: Rows, texts: Sequence[Sequence[str]]) -> str:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for index, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[index], int | float | None) for row in rows)
        table.add_column(column, justify="right" if numeric else "left")
    for line in texts:
        table.add_row(*line)
    console = Console(markup=False, highlight=False, emoji=False)
    with console.capture() as captured:
        console.print(table)
    return captured.get()


_WRITERS: dict[Format, Callable[[Sequence[str], Rows], str]] = {"table": as_table, "json": as_json, "csv": as_csv}
