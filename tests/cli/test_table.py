"""What is printed does nothing to who reads it."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest

from headgate.cli import table

HOSTILE = "\x1b[2J\x9b31m\u202eevil\r\nnew line\x00"


def test_columns_stand_below_each_other() -> None:
    assert table.as_table(("a", "long name"), [("x", 1), ("longer", None)]) == (
        "a       long name\nx       1\nlonger\n"
    )


def test_a_terminal_gets_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    framed = table.as_table(("name", "count"), [("[bold]x[/bold] :warning:", 5)])
    assert "┃" in framed
    assert "[bold]x[/bold] :warning:" in framed


@pytest.mark.parametrize("tty", [True, False])
def test_control_characters_never_reach_a_terminal(tty: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: tty, raising=False)
    printed = re.sub(r"\x1b\[[01]m", "", table.as_table(("name",), [(HOSTILE,)]))
    assert not set(printed) & set("\x1b\x9b\u202e\r\x00")
    assert "evil" in printed


def test_json_keeps_every_character_and_prints_none_that_acts() -> None:
    printed = table.as_json(("name", "count"), [(HOSTILE, 5), ("é", None)])
    assert json.loads(printed) == [{"name": HOSTILE, "count": 5}, {"name": "é", "count": None}]
    assert not set(printed) & set("\x1b\x9b\r\x00\u2028")


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", '=HYPERLINK("http://x")'])
def test_a_formula_becomes_a_text_in_csv(cell: str) -> None:
    rows = list(csv.reader(io.StringIO(table.as_csv(("a", "b"), [(cell, -1)]))))
    assert rows[1][0].startswith("'")
    assert rows[1][1] == "-1"


def test_csv_quotes_what_needs_it() -> None:
    printed = table.as_csv(("a", "b"), [('x,"y"', HOSTILE), ("plain", None)])
    assert list(csv.reader(io.StringIO(printed)))[1][0] == 'x,"y"'
    assert len(printed.splitlines()) == 3
    assert "\x1b" not in printed


def test_moments_are_utc() -> None:
    assert (table.date_of(0), table.date_of(None)) == ("1970-01-01T00:00:00Z", "")
