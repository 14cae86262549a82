"""Bytes that no honest server sends: refused by name in both clients, never read in two ways."""

from __future__ import annotations

import gzip
from contextlib import suppress
from time import monotonic

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headgate.errors import UpstreamError, UpstreamProtocolError
from headgate.upstream.base import Limits, Upstream
from headgate.upstream.lean import Lean
from tests.upstream.servers import CHUNKED, OK, SMALL, Peer, answering_once, post, serving

NO_BODY = b"content-length: 0\r\n\r\n"
REFUSED = {
    "length and coding": OK + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding and length": OK + b"transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n",
    "two lengths": OK + b"content-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
    "the same length twice": OK + b"content-length: 3\r\ncontent-length: 3\r\n\r\nabc",
    "signed length": OK + b"content-length: +3\r\n\r\nabc",
    "negative length": OK + b"content-length: -3\r\n\r\nabc",
    "empty length": OK + b"content-length: \r\n\r\nabc",
    "length beyond 64 bits": OK + b"content-length: 99999999999999999999999\r\n\r\nabc",
    "two codings": OK + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "unknown coding": OK + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "coded before chunked": OK + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked before coded": OK + b"transfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "gzip": OK + b"content-encoding: gzip\r\ncontent-length: 24\r\n\r\n" + gzip.compress(b"hell"),
    "folded header": OK + b"a: b\r\n c\r\n" + NO_BODY,
    "NUL": OK + b"a: b\0c\r\n" + NO_BODY,
    "control character": OK + b"a: b\x01\r\n" + NO_BODY,
    "bare CR": OK + b"a: b\rc: d\r\n" + NO_BODY,
    "space before colon": OK + b"content-length : 0\r\n\r\n",
    "no name": OK + b": b\r\n" + NO_BODY,
    "not HTTP": b"hello there, this is no HTTP at all\r\n\r\n",
    "letters as status": b"HTTP/1.1 2OO OK\r\n" + NO_BODY,
    "status of two digits": b"HTTP/1.1 99 OK\r\n" + NO_BODY,
    "status of four digits": b"HTTP/1.1 2000 OK\r\n" + NO_BODY,
    "status out of range": b"HTTP/1.1 999 OK\r\n" + NO_BODY,
    "another version": b"HTTP/2.0 200 OK\r\n" + NO_BODY,
    "switching protocols": b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
    "switching nothing": b"HTTP/1.1 101 Switching Protocols\r\n\r\nabc",
    "negative chunk": OK + b"transfer-encoding: chunked\r\n\r\n-1\r\nx",
    "prefixed chunk": OK + b"transfer-encoding: chunked\r\n\r\n0x1\r\nx\r\n0\r\n\r\n",
    "overlong chunk": OK + b"transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nx",
    "chunk longer than said": OK + b"transfer-encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n",
    "chunk line ending in LF": OK + b"transfer-encoding: chunked\r\n\r\n1\nx\n0\n\n",
}
REFUSED_BY_LEAN = {
    "list of lengths": OK + b"content-length: 3, 3\r\n\r\nabc",
    "lines ending in LF": b"HTTP/1.1 200 OK\ncontent-length: 0\n\n",
    "length in a trailer": OK + b"transfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\ncontent-length: 3\r\n\r\n",
}
"""reqwest reads these in the one way that they can be read."""


@pytest.mark.parametrize("shape", REFUSED)
async def test_refused(upstream: Upstream, shape: str) -> None:
    async with serving(answering_once(REFUSED[shape])) as server:
        with pytest.raises(UpstreamProtocolError):
            async with upstream.open(post(server.url())) as answer:
                await answer.read()


@pytest.mark.parametrize("shape", REFUSED_BY_LEAN)
async def test_refused_by_lean(lean: Lean, shape: str) -> None:
    async with serving(answering_once(REFUSED_BY_LEAN[shape])) as server:
        with pytest.raises(UpstreamProtocolError):
            async with lean.open(post(server.url())) as answer:
                await answer.read()


async def test_the_status_of_a_compressed_error_is_told(upstream: Upstream) -> None:
    answer = b"HTTP/1.1 503 no\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc"
    async with serving(answering_once(answer)) as server:
        with pytest.raises(UpstreamProtocolError) as refused:
            async with upstream.open(post(server.url())):
                pass
    assert refused.value.upstream_status == 503


@st.composite
def spoilt(draw: st.DrawFn) -> tuple[bytes, list[int]]:
    """An answer with some bytes changed, dropped or doubled, and where to split it."""
    data = bytearray(draw(st.sampled_from([SMALL, CHUNKED, OK + b"\r\nhello", SMALL + SMALL])))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data) - 1))
        match draw(st.sampled_from(["change", "drop", "double"])):
            case "change":
                data[at] = draw(st.integers(0, 255))
            case "drop":
                del data[at]
            case _:
                data[at:at] = data[at : at + draw(st.integers(1, 20))]
    return bytes(data), sorted(draw(st.lists(st.integers(0, len(data)), max_size=4)))


@given(case=spoilt())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_spoilt_answers_end_in_the_family_and_in_time(upstream: Upstream, case: tuple[bytes, list[int]]) -> None:
    data, splits = case

    async def script(peer: Peer) -> None:
        await peer.request()
        for start, end in zip([0, *splits], [*splits, len(data)], strict=True):
            await peer.send(data[start:end])

    limits = Limits(first_byte_s=2, idle_s=2, total_s=4)
    began = monotonic()
    async with serving(script) as server:
        with suppress(UpstreamError):
            async with upstream.open(post(server.url(), limits=limits)) as answer:
                await answer.read()
    assert monotonic() - began < 2
