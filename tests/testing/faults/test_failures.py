"""Each fault of a careful server as it looks on the line."""

from __future__ import annotations

import asyncio
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

import msgspec
import pytest

from headgate.testing import Answer, FakeUpstream
from headgate.testing.faults import Cut, Status
from headgate.wire import sse
from tests.testing.wire import answer, connected, exchange, head, post


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 429, 500, 502, 503, 504, 529])
async def test_a_status_comes_in_the_dialects_own_shape(status: int, fake: FakeUpstream) -> None:
    found, _, body = await answer(fake, post(fault=f"status={status}"))
    assert found == status
    assert set(msgspec.json.decode(body)["error"]) == {"message", "type", "param", "code"}
    found, _, body = await answer(fake, post("/anthropic/v1/messages", fault=f"status={status}"))
    assert found == status
    assert msgspec.json.decode(body)["type"] == "error"
    found, _, body = await answer(fake, post("/ollama/api/chat", fault=f"status={status}"))
    assert found == status
    assert isinstance(msgspec.json.decode(body)["error"], str)


async def test_an_overloaded_anthropic_says_so(fake: FakeUpstream) -> None:
    _, _, body = await answer(fake, post("/v1/messages", fault="status=529"))
    assert msgspec.json.decode(body)["error"]["type"] == "overloaded_error"


@pytest.mark.parametrize("said", ["7", "-5", "99999999999", "soon", "Wed, 21 Oct 2015 07:28:00 GMT"])
async def test_the_wish_to_wait_goes_out_as_it_stands(said: str, fake: FakeUpstream) -> None:
    _, headers, _ = await answer(fake, post(fault=f"status=429; retry_after={said}; retry_after_ms=1500"))
    assert (headers["retry-after"], headers["retry-after-ms"]) == (said, "1500")


async def test_the_wish_to_wait_can_be_a_date(fake: FakeUpstream) -> None:
    fake.fault(Status(429, retry_date_s=90))
    _, headers, _ = await answer(fake, post())
    assert parsedate_to_datetime(headers["retry-after"]).timestamp() - time() == pytest.approx(90, abs=5)


async def test_a_redirect_names_where_to(fake: FakeUpstream) -> None:
    status, headers, _ = await answer(fake, post(fault="status=302; location=http://127.0.0.1:1/"))
    assert (status, headers["location"]) == (302, "http://127.0.0.1:1/")


async def test_a_status_can_have_any_body(fake: FakeUpstream) -> None:
    fake.fault(Status(502, body="<html>"))
    assert (await answer(fake, post()))[::2] == (502, b"<html>")


async def test_a_spent_quota_is_told_from_a_rate(fake: FakeUpstream) -> None:
    status, _, body = await answer(fake, post(fault="quota"))
    assert (status, msgspec.json.decode(body)["error"]["code"]) == (429, "insufficient_quota")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/anthropic/v1/messages", "/ollama/api/chat"])
async def test_the_key_comes_back_in_the_error(path: str, fake: FakeUpstream) -> None:
    status, _, body = await answer(fake, post(path, fault="key_echo=403"))
    assert status == 403
    assert b"canary-key" in body


async def test_silence_lasts_until_the_client_leaves(fake: FakeUpstream) -> None:
    async with connected(fake) as (reader, writer):
        writer.write(post(fault="silence"))
        entry = await fake.journal.wait(1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.1)
        assert not entry.over
    await entry.wait_left()
    assert (entry.status, entry.whole, entry.charged.total) == (0, False, 0)


async def test_silence_can_end(fake: FakeUpstream) -> None:
    assert (await answer(fake, post(fault="silence=0.1")))[0] == 200
    entry = fake.journal[0]
    await entry.wait_over()
    assert entry.over_at - entry.received_at > 0.09


@pytest.mark.parametrize("after", [0, 1, 3])
async def test_a_stream_stalls_after_so_many_events(after: int, fake: FakeUpstream) -> None:
    async with connected(fake) as (reader, writer):
        writer.write(post(fault=f"stall={after}", stream=True))
        assert (await head(reader))[0] == 200
        for _ in range(after):
            size = int(await reader.readline(), 16)
            assert (await reader.readexactly(size + 2)).startswith(b"data: {")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.1)
    entry = await fake.journal[0].wait_left()
    assert not entry.whole
    assert entry.charged.completion == max(after - 1, 0)


async def test_a_stalled_stream_can_go_on(fake: FakeUpstream) -> None:
    _, _, body = await answer(fake, post(fault="stall=2; seconds=0.05", stream=True))
    assert body.endswith(b"data: [DONE]\n\n")
    assert body.count(b"data: ") == 6


@pytest.mark.parametrize(
    ("kind", "start"),
    [
        ("text", b"upstream"),
        ("html", b"<!doctype html>"),
        ("empty", b""),
        ("error", b'{"error":{'),
        ("null", b"null"),
        ("half", b'{"error'),
        ("bytes", b"\0\1"),
    ],
)
async def test_200_can_come_with_junk(kind: str, start: bytes, fake: FakeUpstream) -> None:
    status, _, body = await answer(fake, post(fault=f"junk={kind}"))
    assert status == 200
    assert body[: len(start)] == start
    assert bool(body) == (kind != "empty")
    if kind not in ("error", "null"):
        with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
            msgspec.json.decode(body)


async def test_an_error_object_under_200_is_the_dialects_own(fake: FakeUpstream) -> None:
    _, _, native = await answer(fake, post("/ollama/api/chat", fault="junk=error"))
    assert isinstance(msgspec.json.decode(native)["error"], str)
    _, _, anthropic = await answer(fake, post("/anthropic/v1/messages", fault="junk=error"))
    assert msgspec.json.decode(anthropic)["type"] == "error"


@pytest.mark.parametrize("after", [0, 2])
async def test_a_stream_can_fail_by_an_event(after: int, fake: FakeUpstream) -> None:
    _, _, body = await answer(fake, post(fault=f"error_event={after}; message=gone", stream=True))
    *before, last = [msgspec.json.decode(data) for _, data in sse.read(body)]
    assert len(before) == after
    assert last["error"]["message"] == "gone"
    assert b"[DONE]" not in body


async def test_anthropics_error_event_has_its_name(fake: FakeUpstream) -> None:
    request = post("/v1/messages", fault="error_event=1", stream=True, max_tokens=9)
    request = request.replace(b"host: fake", b"host: fake\r\nanthropic-version: 2023-06-01")
    _, _, body = await answer(fake, request)
    assert [name for name, _ in sse.read(body)] == ["message_start", "error"]


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_an_answer_is_cut_at_any_byte(how: Any, framing: Any, fake: FakeUpstream) -> None:
    _, _, whole = await answer(fake, post(text="a"))
    for size in (0, 1, len(whole) // 2, len(whole) - 1):
        fake.fault(Cut(size, how, framing))
        found, reset = await exchange(fake, post(text="a"))
        assert reset == (how == "rst")
        sent = found.partition(b"\r\n\r\n")[2]
        if framing == "chunked" and size:
            sent = sent.partition(b"\r\n")[2].removesuffix(b"\r\n")
        assert sent == whole[:size].replace(b"fake0", b"fake%d" % fake.journal[-1].number)[:size]
        assert (fake.journal[-1].bytes_sent, fake.journal[-1].whole) == (size, False)


async def test_a_clean_cut_ends_the_framing_and_nothing_else(fake: FakeUpstream) -> None:
    _, _, whole = await answer(fake, post(stream=True))
    fake.fault(Cut(len(whole) - 30, "clean"))
    _, _, body = await answer(fake, post(stream=True))
    assert len(body) == len(whole) - 30
    assert not fake.journal[1].whole


async def test_what_a_cut_stream_had_said_is_charged(fake: FakeUpstream) -> None:
    _, _, whole = await answer(fake, post(stream=True))
    fake.fault(Cut(whole.index(b" two"), "clean"))
    await answer(fake, post(stream=True))
    entry = await fake.journal[1].wait_over()
    assert (entry.charged.prompt, entry.charged.completion) == (3, 1)


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_a_connection_breaks_before_the_answer(how: str, fake: FakeUpstream) -> None:
    assert await exchange(fake, post(fault=f"reset={how}")) == (b"", how == "rst")


async def test_a_dripping_answer_is_the_same_answer(fake: FakeUpstream) -> None:
    for stream in (False, True):
        _, headers, plain = await answer(fake, post(stream=stream))
        status, dripped, body = await answer(fake, post(stream=stream, fault="drip"))
        assert (status, dripped.keys()) == (200, headers.keys())
        assert body.replace(b"fake%d" % fake.journal[-1].number, b"") == plain.replace(
            b"fake%d" % fake.journal[-2].number, b""
        )
        assert fake.journal[-1].whole


async def test_a_drip_takes_its_time(fake: FakeUpstream) -> None:
    async with connected(fake) as (reader, writer):
        writer.write(post(fault="drip=0.05"))
        began = asyncio.get_running_loop().time()
        assert await reader.readexactly(4) == b"HTTP"
        assert asyncio.get_running_loop().time() - began > 0.09


async def test_a_fault_before_the_answer_leaves_the_script_for_the_retry(fake: FakeUpstream) -> None:
    fake.script(Answer(text="the answer"))
    assert (await answer(fake, post(fault="status=503")))[0] == 503
    assert b"the answer" in (await answer(fake, post()))[2]
