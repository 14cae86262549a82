"""Lines out of any split of a stream."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.errors import UpstreamProtocolError
from headgate.wire import ndjson

STREAM = b'\xef\xbb\xbf{"a":"\xc3\xa9"}\n\n{"b":2}\r\n{"c":"\xf0\x9f\x98\x80"}\n'


def split(stream: bytes, *cuts: int) -> bytes:
    splitter = ndjson.Splitter()
    ends = (0, *sorted(cuts), len(stream))
    return b"".join(splitter.feed(stream[a:b]) for a, b in pairwise(ends)) + splitter.finish()


def test_every_split_gives_the_same_lines() -> None:
    whole = STREAM.removeprefix(b"\xef\xbb\xbf")
    for first in range(len(STREAM) + 1):
        for second in range(first, len(STREAM) + 1):
            assert split(STREAM, first, second) == whole
    assert split(STREAM, *range(len(STREAM))) == whole


def test_a_line_is_given_out_as_soon_as_its_end_came() -> None:
    splitter = ndjson.Splitter()
    assert splitter.feed(b'{"a"') == b""
    assert splitter.feed(b':1}\n{"b') == b'{"a":1}\n'
    assert splitter.finish() == b'{"b'
    assert splitter.finish() == b""


def test_only_a_leading_byte_order_mark_goes() -> None:
    assert split(b"\xef\xbb\xbf1\n\xef\xbb\xbf2\n") == b"1\n\xef\xbb\xbf2\n"
    assert split(b"\xef\xbb\xbf1") == b"1"


def test_a_line_that_never_ends_is_refused() -> None:
    splitter = ndjson.Splitter(limit=10)
    assert splitter.feed(b"0123456789") == b""
    with pytest.raises(UpstreamProtocolError, match="longer than 10 bytes"):
        splitter.feed(b"0")


def test_reading_skips_blank_lines_and_line_ends() -> None:
    assert ndjson.read(b' {"a":1}\r\n\n  \r\n{"b":2}') == [b'{"a":1}', b'{"b":2}']


@given(st.lists(st.sampled_from([b"1", b'"x"', b'{"a":[1,2]}']), max_size=5), st.data())
def test_what_is_written_is_read_back(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(map(ndjson.write, lines))
    cut = data.draw(st.integers(0, len(stream)))
    assert ndjson.read(split(stream, cut)) == lines
