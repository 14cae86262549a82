"""Each fault of a hostile server as it looks on the line, in a size that a test can afford."""

from __future__ import annotations

import zlib

import pytest

from headgate.testing import FakeUpstream
from tests.testing.wire import answer, connected, exchange, head, post

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("kind", "start"),
    [
        ("ssh", b"SSH-2.0"),
        ("status", b"HTTP/1.1 2OO"),
        ("header", b"HTTP/1.1 200 OK\r\nno colon"),
        ("old", b"HTTP/0.9"),
        ("continue", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100"),
    ],
)
async def test_what_comes_is_no_http(kind: str, start: bytes, fake: FakeUpstream) -> None:
    found, _ = await exchange(fake, post(fault=f"raw={kind}"))
    assert found.startswith(start)


async def test_a_line_does_not_end(fake: FakeUpstream) -> None:
    found, _ = await exchange(fake, post(fault="endless_line=2", stream=True))
    body = found.partition(b"\r\n\r\n")[2]
    assert body.startswith(b"data: xxx")
    assert (len(body), b"\n" in body) == (2 * MIB, False)


async def test_a_flood_comes_in_whole_events(fake: FakeUpstream) -> None:
    found, _ = await exchange(fake, post(fault="flood=2", stream=True))
    body = found.partition(b"\r\n\r\n")[2]
    assert len(body) > 1.9 * MIB
    assert body.endswith(b"}\n\n")
    assert set(body.split(b"\n\n")[:-1]) == {body.split(b"\n\n")[0]}


async def test_a_flood_waits_for_its_reader_and_ends_when_it_leaves(fake: FakeUpstream) -> None:
    async with connected(fake) as (reader, writer):
        writer.write(post(fault="flood", stream=True))
        await head(reader)
        entry = fake.journal[0]
    await entry.wait_left()
    assert entry.bytes_sent < 64 * MIB


async def test_chunks_can_be_tiny(fake: FakeUpstream) -> None:
    _, headers, body = await answer(fake, post(fault="tiny_chunks=1000", stream=True))
    assert headers["transfer-encoding"] == "chunked"
    assert body == b": x\n\n" * 200


async def test_a_small_body_opens_to_a_large_one(fake: FakeUpstream) -> None:
    _, headers, body = await answer(fake, post(fault="gzip_bomb=8"))
    assert headers["content-encoding"] == "gzip"
    assert len(body) < 16 * 1024
    assert len(zlib.decompress(body, zlib.MAX_WBITS | 16)) == 8 * MIB


@pytest.mark.parametrize("by", [100, -5])
async def test_the_length_lies(by: int, fake: FakeUpstream) -> None:
    found, _ = await exchange(fake, post(fault=f"lying_length={by}"))
    said, _, body = found.partition(b"\r\n\r\n")
    assert b"content-length: %d" % (len(body) + by) in said


@pytest.mark.parametrize(
    ("kind", "said"),
    [("negative", b"-1\r\n"), ("word", b"many"), ("twice", b"3\r\n"), ("both", b"transfer-encoding: chunked")],
)
async def test_the_length_is_none(kind: str, said: bytes, fake: FakeUpstream) -> None:
    found, _ = await exchange(fake, post(fault=f"bad_length={kind}"))
    assert said in found.partition(b"\r\n\r\n")[0] + b"\r\n"


async def test_headers_weigh_more_than_anyone_takes(fake: FakeUpstream) -> None:
    async with connected(fake) as (reader, writer):
        writer.write(post(fault="header_bomb=100"))
        found = await reader.readexactly(100_000)
    assert found.count(b"x-bomb-") > 90


@pytest.mark.parametrize(
    ("kind", "last"), [("size", b"zz\r\n"), ("end", b"3\r\nabcdef"), ("negative", b"-5\r\n"), ("huge", b"f" * 40)]
)
async def test_chunks_break_after_the_first(kind: str, last: bytes, fake: FakeUpstream) -> None:
    found, _ = await exchange(fake, post(fault=f"bad_chunks={kind}", stream=True))
    body = found.partition(b"\r\n\r\n")[2]
    size, _, rest = body.partition(b"\r\n")
    assert rest[: int(size, 16)].startswith(b"data: {")
    assert rest[int(size, 16) + 2 :].startswith(last)
