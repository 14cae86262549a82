"""A bad network between the gateway and a provider: one answer, one row, and nothing that stays behind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic
from typing import Any, Literal

import httpx
import pytest

from headgate.testing import FakeUpstream, FaultProxy, Way
from headgate.testing.gateway import RunningGateway, running
from headgate.testing.lane import CLEAR
from tests.clients.judge import DONE, assert_error, events
from tests.conftest import PROVIDER_KEY, calls
from tests.leaks import Held, await_release
from tests.usage import Row, row_of, rows

SETTINGS = """
timeouts: {{connect_s: 0.3, first_byte_s: 0.5, idle_s: 0.5, total_s: 2}}
providers:
  spare: {{kind: compatible, base_url: "{spare}", key: {key}}}
aliases:
  sturdy: [openai/gpt-4o, spare/gpt-4o]
"""
Strike = Literal["reset", "close"]
LISTS = 3
"""Lists of models that the gateway asks for when it starts: nothing else may use the road while a test does."""
ROUTE = "/v1/chat/completions"
MODELS = ["gpt-4o", "claude-sonnet-4-5"]
"""One whose bytes pass, one that is translated."""
TEXT = "one two three four five six seven eight"
TIMEOUT, CUT, AWAY, JUNK = (
    "upstream_timeout",
    "upstream_stream_cut",
    "upstream_unreachable",
    "upstream_protocol_error",
)
KEPT = 4
"""Descriptors, and tasks, of the connection to `spare` that is kept: both its ends are in this process."""


class Road:
    """A gateway whose OpenAI and Anthropic lie behind a fault proxy, and whose `spare` does not."""

    def __init__(self, gateway: RunningGateway, proxy: FaultProxy, client: httpx.AsyncClient) -> None:
        self.gateway = gateway
        self.proxy = proxy
        self.client = client
        self.requests = 0
        client.event_hooks["request"].append(self._count)

    async def _count(self, request: httpx.Request) -> None:
        self.requests += 1

    async def ask(self, model: str, *, stream: bool = False, text: str = TEXT) -> httpx.Response:
        return await self.client.post(ROUTE, json=asked(model, stream, text))

    async def size(self, model: str, *, stream: bool) -> int:
        """How many bytes the provider sends for this, on a new connection and with its head."""
        await self.afresh()
        before = self.proxy.bytes_down
        await self.assert_whole(await self.ask(model, stream=stream))
        return self.proxy.bytes_down - before

    async def row(self, answer: httpx.Response) -> Row:
        return await asyncio.to_thread(row_of, self.gateway, answer.headers["x-request-id"])

    async def afresh(self, up: Way = CLEAR, down: Way = CLEAR) -> None:
        """These ways from the first byte of a connection on: none that was kept is used again."""
        self.proxy.up, self.proxy.down = CLEAR, CLEAR
        self.proxy.reset()
        await self.proxy.wait_open(0)
        self.proxy.up, self.proxy.down = up, down

    async def assert_refused(self, answer: httpx.Response, status: int, *codes: str) -> None:
        """An error of the caller's dialect, a row that says the same, and no connection to the provider."""
        assert answer.status_code == status
        assert_error(answer.content)
        code = answer.json()["error"]["code"]
        assert code in codes
        row = await self.row(answer)
        assert (row["status"], row["error"], row["cost_usd"]) == (status, code, None)
        await self.assert_nothing_open()

    async def assert_broken(self, answer: httpx.Response, *codes: str) -> None:
        """A stream that ends in an error event without an end mark, billed in part."""
        assert answer.status_code == 200
        *chunks, last = events(answer.content)
        assert chunks
        assert_error(last)
        row = await self.row(answer)
        assert json.loads(last)["error"]["code"] == row["error"]
        assert row["error"] in codes
        assert (row["status"], row["partial"]) == (200, True)
        assert row["completion_tokens"] <= len(chunks)
        await self.assert_nothing_open()

    async def assert_whole(self, answer: httpx.Response) -> None:
        assert (answer.status_code, told(answer)) == (200, TEXT)
        row = await self.row(answer)
        words = len(TEXT.split())
        assert (row["status"], row["error"], row["partial"]) == (200, "", False)
        assert (row["prompt_tokens"], row["completion_tokens"], row["estimated"]) == (words, words, False)

    async def assert_elsewhere(self, answer: httpx.Response) -> None:
        """The second target served, and the first is written down as an attempt."""
        await self.assert_whole(answer)
        assert (answer.headers["x-headgate-provider"], answer.headers["x-headgate-attempts"]) == ("spare", "2")
        row = await self.row(answer)
        assert (row["provider"], row["attempts"]) == ("spare", 2)

    async def assert_accounted(self) -> None:
        """Every request has one row; the gauge of those in flight is at zero."""
        scraped = (await asyncio.to_thread(httpx.get, f"{self.gateway.url}/metrics")).text
        assert "\nheadgate_in_flight 0.0\n" in scraped
        written = await asyncio.to_thread(rows, self.gateway)
        assert len({row["request_id"] for row in written}) == len(written) == self.requests

    async def assert_nothing_open(self) -> None:
        """The gateway has closed its side: what the proxy still holds back meets a closed socket and breaks."""
        self.proxy.up = self.proxy.down = CLEAR
        await self.proxy.wait_open(0)


def asked(model: str, stream: bool, text: str = TEXT) -> dict[str, Any]:
    return {"model": model, "stream": stream, "messages": [{"role": "user", "content": text}]}


def told(answer: httpx.Response) -> str:
    """The text of an answer, streamed whole or not at all."""
    if not answer.headers["content-type"].startswith("text/event-stream"):
        return str(answer.json()["choices"][0]["message"]["content"])
    *chunks, last = events(answer.content)
    assert last == DONE
    choices = [choice for chunk in chunks for choice in json.loads(chunk)["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def caller(gateway: RunningGateway) -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {gateway.key}"}
    return httpx.AsyncClient(base_url=gateway.url, headers=headers, timeout=20)


@pytest.fixture
async def road(fake: FakeUpstream, tmp_path: Path) -> AsyncIterator[Road]:
    """Checks afterwards that each request has one row, that none is in flight and nothing stayed behind."""
    settings = SETTINGS.format(spare=fake.base_url("openai"), key=PROVIDER_KEY)
    async with FaultProxy(fake.url) as proxy:
        environ = dict.fromkeys(("OPENAI_API_KEY", "ANTHROPIC_API_KEY"), PROVIDER_KEY)
        environ |= {"OPENAI_BASE_URL": f"{proxy.url}/v1", "ANTHROPIC_API_BASE": proxy.url}
        with running(tmp_path, environ, settings) as gateway:
            await fake.journal.wait_over(LISTS)
            async with caller(gateway) as client:
                road = Road(gateway, proxy, client)
                await road.afresh()
                before = Held.now()
                yield road
                await road.afresh()
            await await_release(before, KEPT)
            await road.assert_accounted()


async def test_a_clear_road_is_no_hindrance(road: Road) -> None:
    for model in MODELS:
        for stream in (False, True):
            await road.assert_whole(await road.ask(model, stream=stream))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", MODELS)
async def test_a_connection_that_is_never_taken_meets_its_own_limit(road: Road, model: str, stream: bool) -> None:
    async with road.proxy.hanging():
        stuck = asyncio.create_task(road.ask(model, stream=stream))
        await road.assert_whole(await road.ask("spare/gpt-4o", stream=stream))
        assert not stuck.done(), "others are served meanwhile"
        await road.assert_refused(await stuck, 504, TIMEOUT)


async def test_refused_connections_are_said_and_passed_over(road: Road) -> None:
    async with road.proxy.refusing():
        await road.assert_refused(await road.ask("gpt-4o"), 502, AWAY)
        await road.assert_elsewhere(await road.ask("sturdy"))


async def test_a_black_hole_leads_to_the_next_target(road: Road) -> None:
    async with road.proxy.hanging():
        await road.assert_elsewhere(await road.ask("sturdy"))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("direction", ["up", "down"])
async def test_silence_before_the_first_byte_is_a_timeout(
    road: Road, fake: FakeUpstream, direction: str, model: str, stream: bool
) -> None:
    await road.afresh(**{direction: Way(then="silence")})
    fake.journal.clear()
    answer = await road.ask(model, stream=stream)
    assert len(calls(fake)) == (direction == "down")
    assert "no answer within 0.5 s" in answer.text
    await road.assert_refused(answer, 504, TIMEOUT)


@pytest.mark.parametrize("model", MODELS)
async def test_anthropics_clients_are_told_in_their_own_dialect(road: Road, model: str) -> None:
    ask = {"model": model, "max_tokens": 99, "messages": [{"role": "user", "content": TEXT}]}
    before = road.proxy.bytes_down
    whole = await road.client.post("/v1/messages", json=ask | {"stream": True})
    assert b"event: message_stop" in whole.content
    size = road.proxy.bytes_down - before
    await road.afresh(down=Way(after_bytes=size * 2 // 3, then="silence"))
    broken = await road.client.post("/v1/messages", json=ask | {"stream": True})
    assert broken.status_code == 200
    last = broken.text.rstrip().rpartition("\n\n")[2]
    assert last.startswith("event: error\ndata: ")
    assert (await road.row(broken))["error"] == TIMEOUT
    await road.afresh(down=Way(then="reset"))
    refused = await road.client.post("/v1/messages", json=ask)
    assert (refused.status_code, refused.json()["type"]) == (502, "error")
    assert (await road.row(refused))["error"] == AWAY
    await road.assert_nothing_open()


async def test_after_a_silence_the_next_target_serves(road: Road) -> None:
    await road.afresh(down=Way(then="silence"))
    await road.assert_elsewhere(await road.ask("sturdy"))
    await road.assert_nothing_open()


@pytest.mark.parametrize("model", MODELS)
async def test_silence_in_mid_stream_ends_in_an_error_event(road: Road, model: str) -> None:
    await road.afresh(down=Way(after_bytes=await road.size(model, stream=True) * 2 // 3, then="silence"))
    answer = await road.ask(model, stream=True)
    assert "silent for 0.5 s" in answer.text
    await road.assert_broken(answer, TIMEOUT)


@pytest.mark.parametrize("model", MODELS)
async def test_silence_in_the_middle_of_a_whole_answer_is_a_timeout(road: Road, model: str) -> None:
    await road.afresh(down=Way(after_bytes=await road.size(model, stream=False) - 10, then="silence"))
    await road.assert_refused(await road.ask(model), 504, TIMEOUT)


@pytest.mark.parametrize("then", ["reset", "close"])
@pytest.mark.parametrize("model", MODELS)
async def test_a_stream_that_breaks_at_any_place_is_whole_or_says_that_it_is_not(
    road: Road, model: str, then: Strike
) -> None:
    size = await road.size(model, stream=True)
    ends = set()
    for offset in [*range(0, 160, 23), *range(160, size - 40, 97), *range(size - 40, size + 1, 5)]:
        await road.afresh(down=Way(after_bytes=offset, then=then))
        answer = await road.ask(model, stream=True)
        if answer.status_code != 200:
            ends.add("refused")
            await road.assert_refused(answer, 502, AWAY, CUT, JUNK)
        elif answer.content.endswith(b"data: [DONE]\n\n"):
            ends.add("whole")
            assert told(answer) == TEXT, f"{then} after byte {offset}"
            assert (await road.row(answer))["error"] == ""
        else:
            ends.add("broken")
            await road.assert_broken(answer, CUT, AWAY)
    assert ends == {"refused", "broken", "whole"}


@pytest.mark.parametrize("then", ["reset", "close"])
@pytest.mark.parametrize("model", MODELS)
async def test_a_whole_answer_that_breaks_at_any_place_is_never_a_200(road: Road, model: str, then: Strike) -> None:
    size = await road.size(model, stream=False)
    for offset in [0, 1, 5, 40, *range(100, size, 83), size - 1]:
        await road.afresh(down=Way(after_bytes=offset, then=then))
        await road.assert_refused(await road.ask(model), 502, AWAY, CUT)


async def test_a_request_that_breaks_on_its_way_is_told(road: Road) -> None:
    before = road.proxy.bytes_up
    await road.size("gpt-4o", stream=False)
    size = road.proxy.bytes_up - before
    for offset in (0, 1, 100, size - 1):
        for then in ("reset", "close"):
            await road.afresh(up=Way(after_bytes=offset, then=then))
            await road.assert_refused(await road.ask("gpt-4o"), 502, AWAY)


@pytest.mark.parametrize("model", MODELS)
async def test_a_broken_target_leads_to_the_next_before_the_first_byte_only(road: Road, model: str) -> None:
    await road.afresh(down=Way(after_bytes=50, then="reset"))
    await road.assert_elsewhere(await road.ask("sturdy"))
    await road.afresh(down=Way(after_bytes=await road.size("gpt-4o", stream=True) * 2 // 3, then="reset"))
    await road.assert_broken(await road.ask("sturdy", stream=True), CUT, AWAY)


@pytest.mark.parametrize("then", ["reset", "close"])
async def test_a_kept_connection_that_broke_costs_nobody_anything(road: Road, then: Strike) -> None:
    for _ in range(5):
        await road.assert_whole(await road.ask("gpt-4o"))
        road.proxy.down = Way(then=then)
        await road.proxy.wait_open(0)
        road.proxy.down = CLEAR


@pytest.mark.parametrize("model", MODELS)
async def test_a_stream_byte_by_byte_without_end_is_ended_by_the_total_limit(road: Road, model: str) -> None:
    await road.afresh(down=Way(after_bytes=await road.size(model, stream=True) // 2, then="silence"))
    async with road.client.stream("POST", ROUTE, json=asked(model, True)) as answer:
        chunks = answer.aiter_bytes()
        head = await anext(chunks)
        road.proxy.down = Way(bytes_per_s=20)
        began = monotonic()
        rest = b"".join([chunk async for chunk in chunks])
    assert monotonic() - began > 1.0, "each byte came in time; their sum did not"
    whole = httpx.Response(200, headers=answer.headers, content=head + rest)
    await road.assert_broken(whole, TIMEOUT)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", MODELS)
async def test_slices_of_one_byte_change_nothing(road: Road, model: str, stream: bool) -> None:
    await road.afresh(up=Way(slice_bytes=1), down=Way(slice_bytes=1))
    await road.assert_whole(await road.ask(model, stream=stream))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", MODELS)
async def test_a_narrow_road_is_slow_and_holds_up_nobody_else(road: Road, model: str, stream: bool) -> None:
    await road.afresh(down=Way(latency_s=0.02, jitter_s=0.02, bytes_per_s=await road.size(model, stream=stream) * 3))
    slow = asyncio.create_task(road.ask(model, stream=stream))
    await road.assert_whole(await road.ask("spare/gpt-4o", stream=stream))
    assert not slow.done()
    await road.assert_whole(await slow)


async def test_a_large_request_takes_its_time_on_a_narrow_road(road: Road, fake: FakeUpstream) -> None:
    await road.afresh(up=Way(bytes_per_s=1_000_000))
    answer = await road.ask("gpt-4o", text="word " * 30_000)
    assert answer.status_code == 200
    assert (await road.row(answer))["prompt_tokens"] == 30_000


async def test_a_flood_of_broken_roads_leaves_nothing_behind(road: Road) -> None:
    for then in ("reset", "close", "silence"):
        await road.afresh(down=Way(after_bytes=300, then=then))
        answers = await asyncio.gather(*(road.ask(MODELS[number % 2], stream=number % 3 == 0) for number in range(60)))
        assert {answer.status_code for answer in answers} <= {200, 502, 504}
        assert not [answer for answer in answers if answer.status_code == 200 and DONE in answer.content]
        await road.assert_nothing_open()
