"""Kept answers, through the whole gateway."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import httpx
import pytest

from headgate.testing import FakeUpstream
from headgate.testing.answers import Answer, Pacing
from headgate.testing.faults import Cut, ErrorEvent, Fault, Silence, Stall, Status
from headgate.testing.gateway import RunningGateway
from tests.clients.judge import DONE, events
from tests.conftest import calls
from tests.engine.kept import cached, leaver, many, post, question
from tests.usage import row_of


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("model", ["gpt-4o", "claude-sonnet-4-5", "echo"])
def test_an_equal_request_gets_the_same_bytes_and_costs_nothing(
    keeping: RunningGateway, fake: FakeUpstream, model: str, stream: bool
) -> None:
    body = question(model, stream=stream)
    first, second = post(keeping, body), post(keeping, body)
    assert (cached(first), cached(second)) == ("miss", "hit")
    assert second.content == first.content
    assert len(calls(fake)) == (model != "echo")
    for name in ("content-type", "x-headgate-model", "x-headgate-provider"):
        assert second.headers[name] == first.headers[name]
    assert second.headers["x-request-id"] != first.headers["x-request-id"]
    assert (second.headers["x-headgate-attempts"], second.headers["x-headgate-cost"]) == ("0", "0.000000000")
    row = row_of(keeping, second.headers["x-request-id"])
    assert (row["status"], row["error"], row["attempts"], row["partial"]) == (200, "", 0, False)
    assert (row["cost_usd"], row["prompt_tokens"], row["completion_tokens"]) == (0, 0, 0)
    assert (row["model"], row["model_served"]) == (model, first.headers["x-headgate-model"])
    assert row["provider"] == first.headers["x-headgate-provider"]
    assert row["stream"] is stream


def test_vectors_are_kept_too(keeping: RunningGateway, fake: FakeUpstream) -> None:
    body = {"model": "text-embedding-3-small", "input": question()["messages"][0]["content"]}
    first, second = (post(keeping, body, "/v1/embeddings") for _ in range(2))
    assert (cached(first), cached(second)) == ("miss", "hit")
    assert second.content == first.content
    assert len(calls(fake)) == 1


def test_order_and_space_do_not_matter_and_everything_else_does(keeping: RunningGateway, fake: FakeUpstream) -> None:
    body = question(temperature=0.5)
    turned = json.dumps(dict(reversed(body.items())), indent=2).encode()
    assert [cached(post(keeping, one)) for one in (body, turned)] == ["miss", "hit"]
    others: list[dict[str, Any]] = [
        body | {"temperature": 0.6},
        body | {"stream": True},
        body | {"model": "gpt-4o-mini"},
        body | {"user": "somebody"},
        body | {"messages": body["messages"] * 2},
    ]
    assert [cached(post(keeping, other)) for other in others] == ["miss"] * 5
    assert cached(post(keeping, body, "/api/v1/chat/completions")) == "miss"
    assert len(calls(fake)) == 7


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_tenants_share_nothing(keeping: RunningGateway, fake: FakeUpstream, stream: bool) -> None:
    body = question(stream=stream)
    assert cached(post(keeping, body)) == "miss"
    fake.script(Answer(text="for the owner alone"))
    owner = post(keeping, body, authorization=f"Bearer {keeping.owner_key}")
    assert cached(owner) == "miss"
    assert "alone" in owner.text
    again = post(keeping, body)
    assert cached(again) == "hit"
    assert "alone" not in again.text


def test_a_request_may_wish_otherwise(keeping: RunningGateway, fake: FakeUpstream) -> None:
    body = question()
    assert cached(post(keeping, body, cache_control="no-store")) == "off"
    assert cached(post(keeping, body)) == "miss"
    assert cached(post(keeping, body, cache_control="no-store")) == "off"
    assert cached(post(keeping, body, cache_control="max-age=3600")) == "hit"
    assert cached(post(keeping, body, cache_control="max-age=0")) == "miss"
    fake.script(Answer(text="new"))
    assert cached(post(keeping, body, cache_control="no-cache")) == "miss"
    assert "new" in post(keeping, body).text
    assert len(calls(fake)) == 5


def test_failures_are_not_kept(keeping: RunningGateway, fake: FakeUpstream) -> None:
    body = question()
    fake.fault(Status(400))
    assert post(keeping, body).status_code == 400
    assert [cached(post(keeping, body)) for _ in range(2)] == ["miss", "hit"]


@pytest.mark.parametrize("fault", [Cut(after_bytes=500), Cut(after_bytes=500, how="clean"), ErrorEvent(2)], ids=str)
def test_streams_that_broke_are_not_kept(keeping: RunningGateway, fake: FakeUpstream, fault: Fault) -> None:
    body = question(stream=True)
    fake.fault(fault)
    assert events(post(keeping, body).content)[-1] != DONE
    whole = post(keeping, body)
    assert cached(whole) == "miss"
    assert events(whole.content)[-1] == DONE
    assert cached(post(keeping, body)) == "hit"


def test_counts_that_nobody_reported_are_not_kept(keeping: RunningGateway, fake: FakeUpstream) -> None:
    body = question(stream=True)
    fake.script(Answer(text="one", oddities=frozenset(["no_usage"])))
    assert [cached(post(keeping, body)) for _ in range(3)] == ["miss", "miss", "hit"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_answer_above_an_eighth_of_the_room_is_not_kept(
    keeping: RunningGateway, fake: FakeUpstream, stream: bool
) -> None:
    body = question(stream=stream)
    fake.script(*[Answer(text="word " * 40_000)] * 2)
    assert [cached(post(keeping, body)) for _ in range(2)] == ["miss", "miss"]
    assert len(calls(fake)) == 2


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("number", [300, pytest.param(1000, marks=pytest.mark.torture)])
async def test_equal_requests_on_a_cold_cache_are_one_call(
    keeping: RunningGateway, fake: FakeUpstream, number: int, stream: bool
) -> None:
    fake.script(Answer(text="one answer", pacing=Pacing(first_byte_s=1.0)))
    answers = await many(keeping, question(stream=stream), number)
    assert len(calls(fake)) == 1
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert sorted(cached(answer) for answer in answers) == ["hit"] * (number - 1) + ["miss"]


async def test_a_dead_provider_is_not_asked_by_each_of_those_who_wait(
    keeping: RunningGateway, fake: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake, "pacing", Pacing(first_byte_s=0.5))
    fake.fault(Status(400), times=100)
    answers = await many(keeping, question(), 50)
    assert {answer.status_code for answer in answers} == {400}
    assert len(calls(fake)) < 10


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_the_first_may_leave_and_the_others_are_served(
    keeping: RunningGateway, fake: FakeUpstream, stream: bool
) -> None:
    body = question(stream=stream)
    fake.fault(Silence())
    async with leaver(keeping, body):
        while not calls(fake):
            await fake.journal.wait(len(fake.journal) + 1)
        others = asyncio.create_task(many(keeping, body, 20))
        await all_here(keeping, 21)
    answers = await others
    assert {answer.status_code for answer in answers} == {200}
    assert len(calls(fake)) == 2
    assert calls(fake)[0].left


@pytest.mark.parametrize(("stream", "fault"), [(False, Silence()), (True, Silence()), (True, Stall(after=3))], ids=str)
async def test_the_time_of_the_first_is_its_own(
    keeping: RunningGateway, fake: FakeUpstream, stream: bool, fault: Fault
) -> None:
    body = question(stream=stream)
    fake.fault(fault)
    first = asyncio.create_task(many(keeping, body, 1, x_headgate_timeout_ms="1000"))
    while not calls(fake):
        await fake.journal.wait(len(fake.journal) + 1)
    others = await many(keeping, body, 20)
    assert b"deadline_passed" in (await first)[0].content
    assert {answer.status_code for answer in others} == {200}
    assert not any(b"error" in answer.content for answer in others)
    assert len(calls(fake)) == 2


async def test_who_waits_for_an_equal_request_has_a_time_of_its_own(
    keeping: RunningGateway, fake: FakeUpstream
) -> None:
    body = question()
    fake.fault(Silence())
    async with leaver(keeping, body):
        while not calls(fake):
            await fake.journal.wait(len(fake.journal) + 1)
        (hurried,) = await many(keeping, body, 1, x_headgate_timeout_ms="300")
    assert (hurried.status_code, hurried.json()["error"]["code"]) == (504, "deadline_passed")
    assert len(calls(fake)) == 1


def test_a_time_that_is_none_is_refused_also_where_an_answer_is_kept(keeping: RunningGateway) -> None:
    body = question()
    assert cached(post(keeping, body)) == "miss"
    refused = post(keeping, body, x_headgate_timeout_ms="soon")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "x-headgate-timeout-ms")
    assert cached(post(keeping, body, x_headgate_timeout_ms="60000")) == "hit"


async def all_here(gateway: RunningGateway, number: int) -> None:
    """Waits until so many requests are being served."""
    async with asyncio.timeout(10):
        while True:
            if len(gateway.house.rooms.plane.departures) >= number:
                return
            await asyncio.sleep(0.01)


def test_hits_and_misses_are_counted(keeping: RunningGateway) -> None:
    before, body = counted(keeping), question()
    for wish in ("", "", "no-store", ""):
        post(keeping, body, cache_control=wish)
    hits, misses = (now - then for now, then in zip(counted(keeping), before, strict=True))
    assert (hits, misses) == (2, 1)


def counted(gateway: RunningGateway) -> list[float]:
    text = httpx.get(f"{gateway.url}/metrics").text
    return [float(re.findall(rf"^headgate_cache_{what}_total (.*)$", text, re.M)[0]) for what in ("hits", "misses")]


def test_without_the_setting_nothing_is_kept(gateway: RunningGateway, fake: FakeUpstream) -> None:
    body, before = question(), counted(gateway)
    assert [cached(post(gateway, body)) for _ in range(2)] == ["off", "off"]
    assert len(calls(fake)) == 2
    assert counted(gateway) == before
