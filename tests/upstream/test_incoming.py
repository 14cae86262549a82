"""An answer byte by byte, without a network."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.errors import StreamCut, UpstreamError, UpstreamProtocolError, UpstreamUnreachable
from headgate.upstream.base import Limits
from headgate.upstream.incoming import Incoming, keep_alive_s
from tests.upstream.servers import CHUNKED, OK, SMALL

Outcome = tuple[int, bytes, bool, type[UpstreamError] | None]


def read(pieces: list[bytes], *, reset: bool = False) -> Outcome:
    incoming = Incoming(Limits())
    for piece in pieces:
        incoming.feed(piece)
    incoming.end(reset=reset)
    return incoming.status, incoming.take(), incoming.complete, type(incoming.failure) if incoming.failure else None


@pytest.mark.parametrize("answer", [SMALL, CHUNKED, OK + b"\r\nhello"])
def test_every_split_reads_the_same(answer: bytes) -> None:
    whole = read([answer])
    assert whole[2]
    for first in range(len(answer)):
        assert read([answer[:first], answer[first:]]) == whole
    assert read([answer[at : at + 1] for at in range(len(answer))]) == whole


@given(
    answer=st.sampled_from([SMALL, CHUNKED, OK + b"\r\nhello", OK + b"keep-alive: timeout=5\r\n\r\n"]),
    edits=st.lists(st.tuples(st.integers(0, 200), st.binary(max_size=6)), max_size=4),
    splits=st.lists(st.integers(0, 250), max_size=6),
)
@settings(max_examples=400, deadline=None)
def test_a_spoilt_answer_has_one_outcome(answer: bytes, edits: list[tuple[int, bytes]], splits: list[int]) -> None:
    data = bytearray(answer)
    for at, replacement in edits:
        data[at : at + 3] = replacement
    edges = [0, *sorted(splits), len(data)]
    pieces = [bytes(data[start:end]) for start, end in pairwise(edges)]
    status, body, complete, failure = read([bytes(data)])
    assert read(pieces) == (status, body, complete, failure)
    assert complete != (failure is not None)


@given(data=st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_noise_is_never_an_answer(data: bytes) -> None:
    status, body, complete, failure = read([data])
    assert (status, body, complete) == (0, b"", False)
    assert failure in (UpstreamProtocolError, UpstreamUnreachable)


def test_a_reset_ends_no_body_without_a_length() -> None:
    assert read([OK + b"\r\nhello"], reset=True) == (200, b"hello", False, StreamCut)
    assert read([OK + b"\r\n"], reset=True) == (200, b"", False, UpstreamUnreachable)


def test_what_came_before_a_failure_can_be_taken() -> None:
    incoming = Incoming(Limits())
    incoming.feed(OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\nzz")
    failure = incoming.failure
    assert isinstance(failure, UpstreamProtocolError)
    incoming.feed(b"more")
    incoming.end(reset=True)
    assert incoming.failure is failure
    assert incoming.take() == b"hello"


def test_neither_interim_answers_nor_trailers_set_headers() -> None:
    incoming = Incoming(Limits())
    incoming.feed(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK + b"transfer-encoding: chunked\r\n\r\n")
    incoming.feed(b"5\r\nhello\r\n0\r\nx-trailer: y\r\n\r\n")
    assert incoming.complete
    assert incoming.headers == {b"transfer-encoding": b"chunked"}


def test_switching_protocols_is_named() -> None:
    incoming = Incoming(Limits())
    incoming.feed(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n")
    assert "101" in str(incoming.failure)


@pytest.mark.parametrize("surplus", [b"x", SMALL, b"\r\n" * 3 + SMALL])
def test_bytes_behind_the_end_spoil_the_connection_but_not_the_answer(surplus: bytes) -> None:
    for pieces in ([SMALL + surplus], [SMALL, surplus]):
        incoming = Incoming(Limits())
        for piece in pieces:
            incoming.feed(piece)
        assert (incoming.complete, incoming.failure, incoming.reusable) == (True, None, False)
        assert incoming.take() == b"hello"


@pytest.mark.parametrize(
    "line", [b"5;x=" + b"y" * 70_000, b"0\r\na: " + b"b" * 70_000, b"0\r\n" + b"a: b\r\n" * 12_000]
)
def test_framing_without_content_is_bounded(line: bytes) -> None:
    incoming = Incoming(Limits())
    incoming.feed(OK + b"transfer-encoding: chunked\r\n\r\n")
    for start in range(0, len(line), 1000):
        incoming.feed(line[start : start + 1000])
    assert isinstance(incoming.failure, UpstreamProtocolError)


def test_many_small_chunks_are_no_barren_bytes() -> None:
    incoming = Incoming(Limits(header_bytes=100))
    incoming.feed(OK + b"transfer-encoding: chunked\r\n\r\n")
    for _ in range(1000):
        for piece in (b"1\r", b"\n", b"x", b"\r\n"):
            incoming.feed(piece)
    assert (incoming.failure, incoming.take()) == (None, b"x" * 1000)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (b"timeout=5", 4),
        (b"max=10, Timeout = 20", 19),
        (b"timeout=0", -1),
        (b"max=10", float("inf")),
        (b"timeout=x", float("inf")),
    ],
)
def test_keep_alive_is_read_with_a_margin(said: bytes, seconds: float) -> None:
    assert keep_alive_s(said) == seconds
