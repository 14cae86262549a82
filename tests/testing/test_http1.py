"""How the fake reads requests."""

from __future__ import annotations

import pytest

from headgate.testing import FakeUpstream
from tests.testing.wire import connected, exchange, head, post

BODY = b'{"model":"gpt-4o","messages":[{"role":"user","content":"hello"}]}'
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nAuthorization: Bearer x\r\n"


async def test_a_request_may_come_byte_by_byte(fake: FakeUpstream) -> None:
    async with connected(fake) as (reader, writer):
        for byte in post():
            writer.write(bytes([byte]))
            await writer.drain()
        assert (await head(reader))[0] == 200


async def test_a_body_may_come_in_chunks(fake: FakeUpstream) -> None:
    chunked = b"%x;a=b\r\n%b\r\n%x\r\n%b\r\n0\r\nTrailer: x\r\n\r\n" % (10, BODY[:10], len(BODY) - 10, BODY[10:])
    async with connected(fake) as (reader, writer):
        writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked)
        assert (await head(reader))[0] == 200
    assert fake.journal[0].body == BODY


async def test_who_expects_a_go_ahead_gets_it(fake: FakeUpstream) -> None:
    async with connected(fake) as (reader, writer):
        writer.write(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY))
        assert (await head(reader))[0] == 100
        writer.write(BODY)
        assert (await head(reader))[0] == 200


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"HELLO\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (HEAD + b"content-length: -1\r\n\r\n", 400),
        (HEAD + b"content-length: 99999999999\r\n\r\n", 413),
        (HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n", 400),
        (HEAD + b"transfer-encoding: chunked\r\n\r\nfffffffffff\r\n", 413),
        (HEAD + b"x: " + b"x" * 70_000, 431),
    ],
)
async def test_what_is_no_request_is_refused(request_bytes: bytes, status: int, fake: FakeUpstream) -> None:
    found, _ = await exchange(fake, request_bytes)
    assert found.startswith(b"HTTP/1.1 %d " % status)
    assert len(fake.journal) == 0


async def test_requests_that_come_together_are_answered_in_turn(fake: FakeUpstream) -> None:
    async with connected(fake) as (reader, writer):
        writer.write(post(text="first") + post(text="second"))
        for text in (b"first", b"second"):
            _, headers = await head(reader)
            assert text in await reader.readexactly(int(headers["content-length"]))
