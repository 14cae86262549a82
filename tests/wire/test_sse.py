from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.errors import UpstreamProtocolError
from headgate.wire import sse

AWKWARD = [
    b"\r",
    b"\n",
    b"\r\n",
    b"\n\n",
    b"\r\r",
    b"data",
    b":",
    b": ",
    b" ",
    b"x",
    "é€😀".encode(),
    b"\xef\xbb\xbf",
    b"event: e",
]
streams = st.lists(st.sampled_from(AWKWARD), max_size=30).map(b"".join)


def split_at(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted({cut % (len(stream) + 1) for cut in cuts}), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


def fed(chunks: list[bytes]) -> tuple[bytes, bytes]:
    splitter = sse.Splitter()
    return b"".join(splitter.feed(chunk) for chunk in chunks), splitter.finish()


def plain(stream: bytes) -> bytes:
    return re.sub(rb"\r\n|\r", b"\n", stream.removeprefix(sse.BOM))


@given(streams, st.lists(st.integers(0, 200)))
def test_events_are_the_same_for_every_split(stream: bytes, cuts: list[int]) -> None:
    whole = fed([stream])
    assert fed(split_at(stream, cuts)) == whole
    assert fed([stream[i : i + 1] for i in range(len(stream))]) == whole


@given(streams)
def test_only_line_ends_and_the_byte_order_mark_change(stream: bytes) -> None:
    events, rest = fed([stream])
    if stream not in (b"\xef", b"\xef\xbb"):
        assert events + rest == plain(stream)
    assert b"\n\n" not in rest


@given(streams)
def test_no_event_is_held_back(stream: bytes) -> None:
    events, rest = fed([stream])
    assert events.endswith(b"\n\n") or not events.strip(b"\n")
    assert not rest.startswith(b"\n")


def test_a_line_feed_after_a_split_carriage_return_is_not_a_second_line_end() -> None:
    assert fed([b"data: a\r", b"\n", b"\n", b"data: b"]) == (b"data: a\n\n", b"data: b")


def test_every_pair_of_cuts_of_one_stream_gives_the_same() -> None:
    stream = b"\xef\xbb\xbfevent: x\r\ndata: \xc3\xa9\r\rdata: 1\ndata: 2\r\n\r\n: c\n\n\ndata: z"
    whole = fed([stream])
    for first in range(len(stream) + 1):
        for second in range(first, len(stream) + 1):
            assert fed([stream[:first], stream[first:second], b"", stream[second:]]) == whole


def test_an_event_past_the_limit_is_refused() -> None:
    splitter = sse.Splitter(limit=10)
    assert splitter.feed(b"data: 123") == b""
    with pytest.raises(UpstreamProtocolError, match="longer than 10 bytes"):
        splitter.feed(b"45")


def test_many_small_events_never_reach_the_limit() -> None:
    splitter = sse.Splitter(limit=20)
    for _ in range(100):
        assert splitter.feed(b"data: 1\n\ndata") == b"data: 1\n\n"
        assert splitter.feed(b": 2\n\n") == b"data: 2\n\n"


@pytest.mark.parametrize(
    ("events", "read"),
    [
        (b"data: x\n\n", [("", b"x")]),
        (b"data:x\n\n", [("", b"x")]),
        (b"data:  x\n\n", [("", b" x")]),
        (b"event: a\ndata: x\n\ndata: y\n\n", [("a", b"x"), ("", b"y")]),
        (b"data: x\nevent: a\n\n", [("a", b"x")]),
        (b"data: 1\ndata: 2\n\n", [("", b"1\n2")]),
        (b": keep-alive\n\n", []),
        (b": note\ndata: x\nid: 7\nretry: 1\n\n", [("", b"x")]),
        (b"event: a\n\n", []),
        (b"data: \n\n", [("", b"")]),
        (b"data:\n\n", [("", b"")]),
        (b"\n\n\ndata: x\n\n", [("", b"x")]),
        (b"database: x\n\n", []),
    ],
)
def test_fields_are_read_as_the_standard_says(events: bytes, read: list[tuple[str, bytes]]) -> None:
    assert sse.read(events) == read


@given(
    st.text(alphabet=st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])), st.sampled_from(["", "ping"])
)
def test_what_is_written_is_read(text: str, event: str) -> None:
    assert sse.read(sse.write(text.encode(), event)) == [(event, text.encode())]
