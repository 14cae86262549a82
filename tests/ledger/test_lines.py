"""The journal's line: whatever is said in it, it is one line that reads back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.ledger.lines import CLOSED, LINE_BYTES, OPENED, Left, closed, write
from headgate.types import Record, Usage
from tests.ledger.records import record, underway

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
counts = st.integers(0, 2**63 - 1)
usages = st.none() | st.builds(Usage, counts, counts, counts, counts, counts, st.none() | counts, st.booleans())


@settings(max_examples=200, deadline=None)
@given(st.builds(record, words, model_asked=words, error=words, session=words, usage=usages, stream=st.booleans()))
def test_a_line_reads_back(said: Record) -> None:
    line = write(CLOSED, said)
    assert line.count(b"\n") == 1
    assert closed(line) == ([said], [])


@pytest.mark.parametrize("word", ["\ud800 lone", "a" * 10_000_000, "\ud800" * 100_000])
def test_no_word_of_a_caller_breaks_or_bloats_a_line(word: str) -> None:
    line = write(OPENED, underway("r", model_asked=word, session=word))
    assert len(line) < LINE_BYTES
    left = Left()
    assert left.closed(line) == ([], [])
    assert left.open["r"].model_asked[:1] == ("?" if word[0] == "\ud800" else "a")


def test_a_count_beyond_64_bits_is_kept() -> None:
    huge = record("r", usage=Usage(prompt=10**30))
    assert closed(write(CLOSED, huge)) == ([huge], [])


def test_a_dead_process_leaves_what_it_opened_and_did_not_close() -> None:
    left = Left()
    left.closed(write(OPENED, underway("a")) + write(OPENED, underway("b")))
    assert left.closed(write(CLOSED, record("a"))) == ([record("a")], [])
    assert left.open == {"b": underway("b")}


@pytest.mark.parametrize(
    "junk", [b"{}", b'{"closed":[', b"\0\0\0", b"\xff", b'{"closed":["r"]}', b'{"closed":["r","x","y","z","w"]}', b""]
)
def test_a_line_that_cannot_be_read_is_set_apart(junk: bytes) -> None:
    good = write(CLOSED, record("a"))
    assert closed(good + junk + b"\n" + good) == ([record("a"), record("a")], [junk])


def test_a_record_that_a_later_version_made_longer_is_still_read() -> None:
    longer = write(CLOSED, record("a")).replace(b"]}\n", b',"new field"]}\n')
    assert closed(longer) == ([record("a")], [])
