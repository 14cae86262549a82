"""Callers that hang up: the provider's connection closes, the row is written, nothing stays behind."""

from __future__ import annotations

import asyncio
import gc
import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from uuid import uuid4

import httpx
import pytest

from headgate.testing import FakeUpstream
from headgate.testing.answers import Answer, Pacing
from headgate.testing.faults import Silence, Stall
from headgate.testing.gateway import RunningGateway
from headgate.testing.journal import Entry
from tests.conftest import calls
from tests.usage import row_where, rows

MODELS = ["gpt-4o", "claude-sonnet-4-5", "llama2"]
SOON_S = 1.0
"""The longest that a provider's connection may outlive the caller's."""


KEPT = 5
"""Connections that may have come to the pool meanwhile; one for each caller would be two hundred."""


class Visitor:
    """A caller on a bare socket. Its `session` is how its row is found: it may leave before it has a request id."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.session = uuid4().hex
        self._reader = reader
        self._writer = writer

    async def ask(self, key: str, model: str, *, stream: bool) -> None:
        said = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "Hello"}]}
        body = json.dumps(said).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: gate\r\nauthorization: Bearer {key}\r\n"
            f"x-claude-code-session-id: {self.session}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        self._writer.write(head.encode() + body)
        await self._writer.drain()

    async def read_until(self, text: bytes) -> None:
        await asyncio.wait_for(self._reader.readuntil(text), 5)

    async def leave(self) -> None:
        self._writer.transport.abort()
        with suppress(ConnectionError):
            await self._reader.read()


@asynccontextmanager
async def visitor(gateway: RunningGateway) -> AsyncIterator[Visitor]:
    url = httpx.URL(gateway.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        yield Visitor(reader, writer)
    finally:
        writer.transport.abort()


async def called(fake: FakeUpstream) -> Entry:
    """The first model call that the fake receives."""
    number = 0
    while not calls(fake):
        number += 1
        await fake.journal.wait(number)
    return calls(fake)[0]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_leaving_before_the_first_byte(
    gateway: RunningGateway, fake: FakeUpstream, model: str, stream: bool
) -> None:
    fake.fault(Silence())
    async with visitor(gateway) as guest:
        await guest.ask(gateway.key, model, stream=stream)
        call = await called(fake)
        await guest.leave()
        await call.wait_left(SOON_S)
    row = row_where(gateway, session=guest.session)
    assert (row["status"], row["error"], row["partial"]) == (499, "client_left", True)
    assert row["attempts"] == 1
    assert row["completion_tokens"] in (None, 0)
    assert len(calls(fake)) == 1, "a caller that left is not served by another try"


@pytest.mark.parametrize("more", [1, 3])
async def test_leaving_with_more_requests_on_the_way(gateway: RunningGateway, fake: FakeUpstream, more: int) -> None:
    fake.fault(Silence())
    async with visitor(gateway) as guest:
        await guest.ask(gateway.key, "gpt-4o", stream=True)
        call = await called(fake)
        for _ in range(more):
            await guest.ask(gateway.key, "echo", stream=False)
        await guest.leave()
        await call.wait_left(SOON_S)
    assert row_where(gateway, session=guest.session)["status"] == 499


async def test_leaving_during_a_whole_answer(gateway: RunningGateway, fake: FakeUpstream) -> None:
    fake.fault(Stall(after=0))
    async with visitor(gateway) as guest:
        await guest.ask(gateway.key, "gpt-4o", stream=False)
        call = await called(fake)
        await guest.leave()
        await call.wait_left(SOON_S)
    assert row_where(gateway, session=guest.session)["status"] == 499


@pytest.mark.parametrize("model", MODELS)
async def test_leaving_in_mid_stream(gateway: RunningGateway, fake: FakeUpstream, model: str) -> None:
    words = " ".join(f"word{number}" for number in range(100))
    fake.script(Answer(text=words, pacing=Pacing(tokens_per_s=100)))
    async with visitor(gateway) as guest:
        await guest.ask(gateway.key, model, stream=True)
        call = await called(fake)
        await guest.read_until(b"word9")
        await guest.leave()
        await call.wait_left(SOON_S)
    row = row_where(gateway, session=guest.session)
    assert (row["status"], row["error"], row["partial"]) == (499, "client_left", True)
    assert 10 <= row["completion_tokens"] <= call.charged.completion + 2, "the tokens that were delivered"
    assert call.charged.completion < 100
    assert row["first_token_ms"] > 0


async def test_leaving_when_the_answer_is_whole_costs_what_it_cost(gateway: RunningGateway, fake: FakeUpstream) -> None:
    async with visitor(gateway) as guest:
        await guest.ask(gateway.key, "gpt-4o", stream=True)
        await guest.read_until(b"[DONE]")
        await guest.leave()
    row = row_where(gateway, session=guest.session)
    assert (row["prompt_tokens"], row["completion_tokens"], row["estimated"]) == (1, 1, False)


async def test_leaving_while_the_gateway_waits_to_try_again(
    gateway: RunningGateway, fake: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headgate.engine.failover.BACKOFF_OVERLOADED_S", 1_000.0)
    fake.fault("status=503", times=9)
    async with visitor(gateway) as guest:
        await guest.ask(gateway.key, "gpt-4o", stream=False)
        await (await called(fake)).wait_over()
        await guest.leave()
    assert row_where(gateway, session=guest.session)["status"] == 499
    assert len(calls(fake)) == 1


@pytest.mark.parametrize("rounds", [5, pytest.param(75, marks=pytest.mark.torture)])
async def test_forty_a_round_who_leave_leave_nothing_behind(
    gateway: RunningGateway, fake: FakeUpstream, rounds: int
) -> None:
    rooms = gateway.house.rooms
    await come_and_go(gateway, fake, 40)
    files, tasks = await settled()
    sessions: list[str] = []
    for _ in range(rounds):
        sessions += await come_and_go(gateway, fake, 40)
    assert len(rooms.plane.departures) == 0
    files_now, tasks_now = await settled()
    assert files_now <= files + KEPT
    assert tasks_now <= tasks + KEPT
    last = set(sessions[-200:])
    mine = [row for row in rows(gateway) if row["session"] in last]
    assert len(mine) == len(last) == 200
    assert {row["status"] for row in mine} == {499}


async def come_and_go(gateway: RunningGateway, fake: FakeUpstream, count: int) -> list[str]:
    """So many callers whose calls reach the provider, some of whom see the beginning of a stream."""
    fake.clear()
    fake.fault(Silence(), times=count // 2)
    fake.fault(Stall(after=2), times=count)
    async with AsyncExitStack() as stack:
        guests = [await stack.enter_async_context(visitor(gateway)) for _ in range(count)]
        for number, guest in enumerate(guests):
            await guest.ask(gateway.key, MODELS[number % 3], stream=True)
        while len(calls(fake)) < count:
            await fake.journal.wait(len(fake.journal) + 1)
        for guest in guests:
            await guest.leave()
        for call in calls(fake):
            await call.wait_left(SOON_S)
    row_where(gateway, session=guests[-1].session)
    return [guest.session for guest in guests]


async def settled() -> tuple[int, int]:
    """The open files and unfinished tasks of this process: the gateway, the fake, and this test."""
    await asyncio.sleep(0)
    tasks = sum(isinstance(found, asyncio.Task) and not found.done() for found in gc.get_objects())
    return len(os.listdir("/proc/self/fd")), tasks
