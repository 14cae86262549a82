"""A tab becomes one record, however its request ends."""

from __future__ import annotations

import asyncio

import pytest

from headgate.errors import JournalUnavailable, StreamCut, UpstreamTimeout
from headgate.ledger.meter import Meter, Tab
from headgate.types import Caller, Record, Usage

CALLER = Caller("key_1", "one")


class Book:
    """A journal in memory."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, Record]] = []

    def opened(self, record: Record) -> None:
        self.lines.append(("opened", record))

    def closed(self, record: Record) -> None:
        self.lines.append(("closed", record))


class FullBook(Book):
    def opened(self, record: Record) -> None:
        raise JournalUnavailable("the disk is full")


@pytest.fixture
def book() -> Book:
    return Book()


def tab(book: Book, seen: list[Record] | None = None) -> Tab:
    meter = Meter(book, ((seen if seen is not None else []).append,))
    return meter.tab(request_id="req_1", route="/v1/chat/completions", at_us=5, began=0.0, session="s")


def fail_inside(book: Book, error: BaseException) -> None:
    with tab(book) as open_tab:
        open_tab.caller = CALLER
        raise error


def attempt_inside(book: Book) -> None:
    with tab(book) as open_tab:
        open_tab.caller = CALLER
        open_tab.attempt("openai", "gpt-4o")


def test_a_request_is_in_the_book_before_it_goes_out_and_once_more_at_its_end(book: Book) -> None:
    with tab(book) as open_tab:
        open_tab.caller, open_tab.model = CALLER, "gpt-4o"
        open_tab.attempt("openai", "gpt-4o")
        assert [kind for kind, _ in book.lines] == ["opened"]
        open_tab.attempt("spare", "gpt-4o-mini")
        open_tab.usage = Usage(3, 4)
    (_, opened), (kind, closed) = book.lines
    assert (opened.provider, opened.status, opened.attempts) == ("openai", 0, 1)
    assert (kind, closed.provider, closed.model_served, closed.attempts) == ("closed", "spare", "gpt-4o-mini", 2)
    assert (closed.status, closed.error, closed.usage, closed.key_id) == (200, "", Usage(3, 4), "key_1")


def test_observers_see_a_stranger_but_the_book_does_not(book: Book) -> None:
    seen: list[Record] = []
    with tab(book, seen):
        pass
    assert book.lines == []
    assert [record.request_id for record in seen] == ["req_1"]


@pytest.mark.parametrize(
    ("error", "status", "code", "partial"),
    [
        (UpstreamTimeout("late"), 504, "upstream_timeout", False),
        (asyncio.CancelledError("client_left"), 499, "client_left", True),
        (asyncio.CancelledError(), 503, "interrupted", True),
        (ZeroDivisionError(), 500, "internal_error", False),
    ],
)
def test_a_failure_is_recorded_and_goes_on(
    book: Book, error: BaseException, status: int, code: str, partial: bool
) -> None:
    with pytest.raises(type(error)):
        fail_inside(book, error)
    (_, closed) = book.lines[-1]
    assert (closed.status, closed.error, closed.partial) == (status, code, partial)


def test_a_stream_that_breaks_keeps_the_status_that_its_caller_saw(book: Book) -> None:
    with tab(book) as open_tab:
        open_tab.caller = CALLER
        open_tab.broke(StreamCut("cut"))
    (_, closed) = book.lines[-1]
    assert (closed.status, closed.error, closed.partial) == (200, "upstream_stream_cut", True)


def test_nothing_goes_out_that_cannot_be_written_down() -> None:
    book = FullBook()
    with pytest.raises(JournalUnavailable):
        attempt_inside(book)
    (_, closed) = book.lines[-1]
    assert (closed.status, closed.error) == (503, "journal_unavailable")
