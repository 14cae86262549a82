"""The fake as a server: scripts, rules, pacing, its journal, and the ways to run it."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import urllib.error
import urllib.request
from typing import Any

import httpx
import pytest

from headgate.testing import Answer, FakeUpstream, Pacing
from headgate.testing.dialects import DIALECTS
from headgate.testing.faults import FAULTS
from headgate.testing.http1 import Line
from headgate.testing.sockets import black_hole, closed_port
from headgate.types import Usage
from tests.testing.wire import answer, connected, exchange, head, post


def body(text: str = "one two three", model: str = "gpt-4o", **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}]} | fields


async def said(http: httpx.AsyncClient, **fields: Any) -> str:
    answer = await http.post("/v1/chat/completions", json=body(**fields))
    content = answer.json()["choices"][0]["message"]["content"]
    assert isinstance(content, str)
    return content


async def test_scripted_answers_come_once_and_in_order(http: httpx.AsyncClient, fake: FakeUpstream) -> None:
    fake.script(Answer(text="first"), Answer(text="second"))
    assert [await said(http) for _ in range(3)] == ["first", "second", "one two three"]


async def test_an_answer_can_be_for_some_models_only(http: httpx.AsyncClient, fake: FakeUpstream) -> None:
    fake.script(Answer(text="mini"), model="*-mini")
    assert await said(http) == "one two three"
    assert await said(http, model="gpt-4o-mini") == "mini"


async def test_a_fault_strikes_as_often_as_it_was_told_to(http: httpx.AsyncClient, fake: FakeUpstream) -> None:
    fake.fault("status=503", times=2)
    statuses = [(await http.post("/v1/chat/completions", json=body())).status_code for _ in range(3)]
    assert statuses == [503, 503, 200]
    assert [entry.fault for entry in fake.journal] == ["status", "status", ""]


@pytest.mark.parametrize(
    ("rule", "struck"),
    [
        ({}, "chat"),
        ({"path": "*/embeddings"}, "embeddings"),
        ({"model": "text-*"}, "embeddings"),
        ({"method": "GET"}, "models"),
        ({"path": "/anthropic/*"}, ""),
    ],
)
async def test_a_fault_strikes_only_what_its_rule_takes(
    rule: dict[str, str], struck: str, http: httpx.AsyncClient, fake: FakeUpstream
) -> None:
    fake.fault("status=503", times=9, **rule)  # type: ignore[arg-type]
    statuses = {
        "models": (await http.get("/v1/models")).status_code,
        "chat": (await http.post("/v1/chat/completions", json=body())).status_code,
        "embeddings": (await http.post("/v1/embeddings", json={"model": "text-x", "input": "x"})).status_code,
    }
    failed = [name for name, status in statuses.items() if status == 503]
    assert failed == (["chat", "embeddings"] if not rule else [struck] if struck else [])


async def test_a_fault_is_chosen_by_header_then_model_then_rule(http: httpx.AsyncClient, fake: FakeUpstream) -> None:
    fake.fault("status=500", times=9)
    statuses = [
        (await http.post("/v1/chat/completions", json=body(model=model), headers=headers)).status_code
        for model, headers in (
            ("fake-status-502", {"x-fake-fault": "status=501"}),
            ("fake-status-502", {}),
            ("gpt-4o", {}),
        )
    ]
    assert statuses == [501, 502, 500]


async def test_a_fault_that_is_none_is_told(http: httpx.AsyncClient, fake: FakeUpstream) -> None:
    answer = await http.post("/v1/chat/completions", json=body(), headers={"x-fake-fault": "nothing"})
    assert answer.status_code == 400
    assert "no fault is called 'nothing'" in answer.json()["error"]["message"]
    with pytest.raises(ValueError, match="no fault"):
        fake.fault("nothing")


async def test_the_journal_keeps_what_came(http: httpx.AsyncClient, fake: FakeUpstream) -> None:
    await http.post("/v1/chat/completions?x=1", json=body(seed=7), headers={"X-Mine": "yes"})
    entry = fake.journal[0]
    assert (entry.method, entry.path) == ("POST", "/v1/chat/completions")
    assert (entry.dialect, entry.model) == ("openai", "gpt-4o")
    assert entry.headers["x-mine"] == "yes"
    assert entry.headers["authorization"] == "Bearer a-key"
    assert entry.fields == entry.json == body(seed=7)
    assert (entry.status, entry.whole, entry.over, entry.left) == (200, True, True, False)


async def test_the_journal_adds_up_what_was_charged(http: httpx.AsyncClient, fake: FakeUpstream) -> None:
    fake.fault("status=500")
    for _ in range(3):
        await http.post("/v1/chat/completions", json=body())
    await http.post("/openrouter/chat/completions", json=body())
    last = fake.journal[3].charged
    assert fake.journal.charged == Usage(prompt=9, completion=9, cost_nano=last.cost_nano)
    assert last.cost_nano


async def test_who_waits_for_the_journal_is_woken(http: httpx.AsyncClient, fake: FakeUpstream) -> None:
    waiting = asyncio.create_task(fake.journal.wait_over(2))
    await http.post("/v1/chat/completions", json=body())
    assert not waiting.done()
    await http.post("/v1/chat/completions", json=body("other"))
    assert (await waiting).fields == body("other")
    with pytest.raises(TimeoutError):
        await fake.journal.wait(3, timeout_s=0.05)


async def test_a_client_that_leaves_is_seen_at_once(fake: FakeUpstream) -> None:
    fake.pacing = Pacing(tokens_per_s=20)
    async with connected(fake) as (reader, writer):
        writer.write(post(text="word " * 1000, stream=True))
        await head(reader)
        await reader.readuntil(b"word")
    entry = await fake.journal[0].wait_left(timeout_s=1)
    assert not entry.whole
    assert 1 <= entry.charged.completion < 1000


async def test_a_client_that_leaves_after_the_last_byte_has_not_left(
    fake: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def late(line: Line) -> None:
        await (asyncio.Event().wait() if fake.journal[0].whole else asyncio.sleep(0))

    monkeypatch.setattr(Line, "flush", late)
    await answer(fake, post(stream=True))
    entry = await fake.journal[0].wait_over()
    assert (entry.whole, entry.left) == (True, False)


async def test_a_client_that_leaves_what_was_written_has_left(fake: FakeUpstream) -> None:
    async with connected(fake) as (reader, writer):
        writer.write(post(text="word " * 4_000_000))
        await head(reader)
    entry = await fake.journal[0].wait_left()
    assert not entry.whole


async def test_the_first_byte_waits(fake: FakeUpstream) -> None:
    fake.pacing = Pacing(first_byte_s=0.1)
    async with connected(fake) as (reader, writer):
        writer.write(post(stream=True))
        await fake.journal.wait(1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.05)
        assert await reader.readexactly(4) == b"HTTP"


async def test_waiting_marks_come_before_the_wait_in_the_queue(fake: FakeUpstream) -> None:
    fake.pacing = Pacing(queue_s=0.2)
    async with connected(fake) as (reader, writer):
        writer.write(post("/deepseek/chat/completions", stream=True))
        await head(reader)
        await reader.readuntil(b": keep-alive\n\n: keep-alive\n\n\r\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.05)
        await reader.readuntil(b"[DONE]")


async def test_tokens_come_at_their_pace(fake: FakeUpstream) -> None:
    fake.script(Answer(text="a b c d e", pacing=Pacing(tokens_per_s=50)))
    entry = (await answer(fake, post(stream=True)))[0] and await fake.journal[0].wait_over()
    assert entry
    assert 0.09 < entry.over_at - entry.received_at < 5


def writes(found: bytes) -> list[int]:
    """The sizes of the chunks in a chunked body."""
    sizes = []
    while size := int(found.partition(b"\r\n")[0], 16):
        sizes.append(size)
        found = found.partition(b"\r\n")[2][size + 2 :]
    return sizes


@pytest.mark.parametrize(
    ("pacing", "expected"),
    [
        (Pacing(split_every=7), lambda size: [7] * (size // 7) + [size % 7] * bool(size % 7)),
        (Pacing(split_at=(20, 3, 3, 10**9)), lambda size: [3, 17, size - 20]),
        (Pacing(split_every=10**9), lambda size: [size]),
    ],
)
async def test_writes_end_where_they_should(pacing: Pacing, expected: Any, fake: FakeUpstream) -> None:
    _, _, plain = await answer(fake, post(stream=True))
    fake.clear()
    fake.pacing = pacing
    async with connected(fake) as (reader, writer):
        writer.write(post(stream=True))
        await head(reader)
        found = await reader.readuntil(b"\r\n0\r\n\r\n")
    assert writes(found) == expected(len(plain))
    fake.clear()
    assert (await answer(fake, post(stream=True)))[2] == plain


async def test_an_event_is_a_write_where_nothing_splits(fake: FakeUpstream) -> None:
    async with connected(fake) as (reader, writer):
        writer.write(post(stream=True))
        await head(reader)
        found = await reader.readuntil(b"\r\n0\r\n\r\n")
    assert len(writes(found)) == found.count(b"data: ") == 6


async def test_a_connection_serves_many_requests(fake: FakeUpstream) -> None:
    async with connected(fake) as (reader, writer):
        for _ in range(3):
            writer.write(post())
            status, headers = await head(reader)
            assert status == 200
            await reader.readexactly(int(headers["content-length"]))
    assert len(fake.journal) == 3


async def test_a_connection_ends_where_the_client_asks_for_it(fake: FakeUpstream) -> None:
    async with connected(fake) as (reader, writer):
        writer.write(post().replace(b"host: fake", b"host: fake\r\nconnection: close"))
        assert b"one two three" in await asyncio.wait_for(reader.read(), 5)


async def test_while_it_refuses_nobody_gets_in_and_it_keeps_its_port(
    http: httpx.AsyncClient, fake: FakeUpstream
) -> None:
    await http.get("/v1/models")
    url = fake.url
    async with fake.refusing():
        for _ in range(2):
            with pytest.raises((httpx.ConnectError, httpx.ReadError)):
                await http.get("/v1/models")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(fake.host, fake.port)
    assert fake.url == url
    assert (await http.get("/v1/models")).status_code == 200


async def test_a_closed_port_refuses_and_a_black_hole_does_nothing() -> None:
    with closed_port() as url, pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    with black_hole() as url, pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2])), 0.3)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_every_dialect_can_stand_at_the_root(dialect: str) -> None:
    async with FakeUpstream(dialect=dialect) as fake:
        served = fake.dialects[dialect]
        paths = {(method, path) for name, method, path in fake.routes() if name == dialect}
        assert {(route.method, route.path) for route in served.routes()} <= paths
        assert fake.base_url(dialect) == fake.url + served.base
        async with httpx.AsyncClient(base_url=fake.url, verify=False) as http:
            lists = next(route.path for route in served.routes() if route.method == "GET")
            headers = {"authorization": "Bearer x", "anthropic-version": "2023-06-01"}
            assert (await http.get(lists, headers=headers)).status_code == 200


async def test_an_unknown_path_is_refused_and_noted(http: httpx.AsyncClient, fake: FakeUpstream) -> None:
    for path, dialect in (("/nothing", "openai"), ("/deepseek/nothing", "deepseek")):
        answer = await http.post(path, json=body())
        assert answer.status_code == 404
        assert answer.json()["error"]["message"]
        assert (fake.journal[-1].path, fake.journal[-1].dialect) == (path, dialect)


def test_it_runs_in_a_thread_for_tests_without_a_loop() -> None:
    before = set(threading.enumerate())
    with FakeUpstream.in_thread(key="k") as fake:
        fake.script(Answer(text="from a thread"))
        request = urllib.request.Request(
            f"{fake.url}/v1/chat/completions",
            data=b'{"model":"m","messages":[{"role":"user","content":"x"}]}',
            headers={"authorization": "Bearer k"},
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            assert b"from a thread" in answer.read()
        assert fake.journal.block(1).charged == Usage(prompt=1, completion=3)
        with pytest.raises(TimeoutError):
            fake.journal.block(2, timeout_s=0.05)
    assert "fake-upstream" not in {thread.name for thread in set(threading.enumerate()) - before}
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(fake.url, timeout=5)


def test_a_port_that_is_taken_is_told_to_who_starts_it() -> None:
    with closed_port() as url, pytest.raises(OSError, match="in use"):
        FakeUpstream.in_thread(port=int(url.rpartition(":")[2])).__enter__()


async def test_a_bug_of_the_fake_itself_is_not_swallowed() -> None:
    fake = FakeUpstream()
    fake._scripted = lambda model, default: 1 / 0  # type: ignore[assignment, method-assign]
    await fake.__aenter__()
    assert await exchange(fake, post()) == (b"", True)
    with pytest.raises(ZeroDivisionError):
        await fake.__aexit__()


async def test_pages_say_what_is_served_and_how_it_fails(http: httpx.AsyncClient, fake: FakeUpstream) -> None:
    page = (await http.get("/")).text
    assert fake.url in page
    assert all(f"  {name} " in page for name in FAULTS)
    assert all(path in page for _, _, path in fake.routes())
    assert len(fake.journal) == 0


async def test_scripts_and_the_journal_are_reached_over_http(http: httpx.AsyncClient) -> None:
    script = [{"text": "by post", "cached": 1, "pacing": {"split_every": 9}}]
    assert (await http.post("/fake/script", json=script)).status_code == 200
    assert await said(http) == "by post"
    journal = await http.get("/fake/journal")
    row = journal.json()[0]
    assert (row["path"], row["status"], row["whole"]) == ("/v1/chat/completions", 200, True)
    assert row["charged"] == {"prompt": 3, "completion": 2, "cached": 1}
    assert "a-key" not in journal.text
    assert "one two three" not in journal.text
    refused = await http.post("/fake/script", json=[{"txt": "x"}])
    assert refused.status_code == 400
    assert "txt" in refused.text


async def test_it_runs_as_a_process() -> None:
    arguments = ["-m", "headgate.testing", "--port", "0", "--dialect", "ollama", "--key", "k"]
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout
        async with asyncio.timeout(20):
            url = (await process.stdout.readline()).decode().split()[-1]
            async with httpx.AsyncClient(base_url=url, headers={"authorization": "Bearer k"}, verify=False) as http:
                assert (await http.get("/api/tags")).status_code == 200
                failed = await http.post("/api/chat", json=body(model="fake-status-503"))
                assert failed.status_code == 503
    finally:
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
