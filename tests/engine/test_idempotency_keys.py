"""Idempotency keys, through the whole gateway."""

from __future__ import annotations

import asyncio
import re
from uuid import uuid4

import httpx
import pytest

from headgate.testing import FakeUpstream
from headgate.testing.answers import Answer, Pacing
from headgate.testing.faults import Cut, Silence, Status
from headgate.testing.gateway import RunningGateway
from headgate.types import Usage
from tests.clients.judge import DONE, events
from tests.conftest import calls
from tests.engine.kept import cached, leaver, many, post, question
from tests.usage import row_of, rows


@pytest.fixture
def key() -> str:
    return f"order-{uuid4().hex}"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_hundred_at_once_are_one_call_and_one_charge(
    keeping: RunningGateway, fake: FakeUpstream, key: str, stream: bool
) -> None:
    usage = Usage(prompt=10, completion=2, cost_nano=1_000_000)
    fake.script(Answer(text="one two", usage=usage, pacing=Pacing(first_byte_s=0.5)))
    body = question("openrouter/openai/gpt-4o", stream=stream)
    answers = await many(keeping, body, 100, idempotency_key=key, cache_control="no-store")
    answers.append(await asyncio.to_thread(post, keeping, body, idempotency_key=key))
    assert len(calls(fake)) == 1
    served = [answer for answer in answers if answer.status_code == 200]
    told = [answer for answer in answers if answer.status_code == 409]
    assert len(served) + len(told) == 101
    assert {error_of(answer) for answer in told} <= {"idempotency_key_in_use"}
    assert len({answer.content for answer in served}) == 1
    assert [cached(answer) for answer in served].count("miss") == 1
    row_of(keeping, answers[-1].headers["x-request-id"])
    mine = {answer.headers["x-request-id"]: answer.status_code for answer in answers}
    written = [row for row in rows(keeping) if row["request_id"] in mine]
    assert {row["request_id"]: row["status"] for row in written} == mine
    assert sum(row["cost_usd"] or 0 for row in written) == 0.001
    assert sum(row["prompt_tokens"] or 0 for row in written) == 10


def error_of(answer: httpx.Response) -> str:
    code: str = answer.json()["error"]["code"]
    return code


async def test_while_the_first_runs_the_second_is_told_so(
    gateway: RunningGateway, fake: FakeUpstream, key: str
) -> None:
    body = question()
    fake.fault(Silence())
    async with leaver(gateway, body, idempotency_key=key):
        while not calls(fake):
            await fake.journal.wait(len(fake.journal) + 1)
        second = await asyncio.to_thread(post, gateway, body, idempotency_key=key)
        other = await asyncio.to_thread(post, gateway, question(), idempotency_key=key)
    assert (second.status_code, error_of(second)) == (409, "idempotency_key_in_use")
    assert (other.status_code, error_of(other)) == (422, "idempotency_key_reused")
    await calls(fake)[0].wait_left()
    async with asyncio.timeout(5):
        while True:
            after = await asyncio.to_thread(post, gateway, body, idempotency_key=key)
            if after.status_code != 409:
                break
    assert cached(after) == "miss", "who leaves sets the key free"
    assert len(calls(fake)) == 2


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_second_request_gets_the_first_answer_without_a_cache(
    gateway: RunningGateway, fake: FakeUpstream, key: str, stream: bool
) -> None:
    body = question(stream=stream)
    first, second = (post(gateway, body, idempotency_key=key) for _ in range(2))
    assert (cached(first), cached(second)) == ("miss", "hit")
    assert second.content == first.content
    assert second.headers["content-type"] == first.headers["content-type"]
    assert cached(post(gateway, body)) == "off"
    assert len(calls(fake)) == 2


def test_another_body_or_route_is_refused(keeping: RunningGateway, fake: FakeUpstream, key: str) -> None:
    body = question()
    assert cached(post(keeping, body, idempotency_key=key)) == "miss"
    others = [
        post(keeping, question(), idempotency_key=key),
        post(keeping, body, "/api/v1/chat/completions", idempotency_key=key),
    ]
    assert [answer.status_code for answer in others] == [422, 422]
    assert len(calls(fake)) == 1


def test_tenants_may_use_the_same_key(keeping: RunningGateway, fake: FakeUpstream, key: str) -> None:
    body = question()
    mine = post(keeping, body, idempotency_key=key)
    theirs = post(keeping, body, idempotency_key=key, authorization=f"Bearer {keeping.owner_key}")
    assert (cached(mine), cached(theirs)) == ("miss", "miss")
    assert len(calls(fake)) == 2


def test_a_failure_sets_the_key_free(keeping: RunningGateway, fake: FakeUpstream, key: str) -> None:
    body = question()
    fake.fault(Status(400))
    assert post(keeping, body, idempotency_key=key).status_code == 400
    assert [cached(post(keeping, body, idempotency_key=key)) for _ in range(2)] == ["miss", "hit"]


async def test_a_failure_that_is_shared_sets_the_key_free(
    keeping: RunningGateway, fake: FakeUpstream, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = question()
    monkeypatch.setattr(fake, "pacing", Pacing(first_byte_s=0.5))
    fake.fault(Status(400))
    first = asyncio.create_task(many(keeping, body, 1))
    while not calls(fake):
        await fake.journal.wait(len(fake.journal) + 1)
    (second,) = await many(keeping, body, 1, idempotency_key=key)
    assert [answer.status_code for answer in await first] == [400]
    assert second.status_code in (200, 400), "200 where it came too late to share"
    (again,) = await many(keeping, body, 1, idempotency_key=key)
    assert again.status_code == 200


def test_a_stream_that_broke_sets_the_key_free(keeping: RunningGateway, fake: FakeUpstream, key: str) -> None:
    body = question(stream=True)
    fake.fault(Cut(after_bytes=500))
    assert events(post(keeping, body, idempotency_key=key).content)[-1] != DONE
    again = post(keeping, body, idempotency_key=key)
    assert cached(again) == "miss"
    assert events(again.content)[-1] == DONE


def test_counts_that_nobody_reported_do_not_make_it_ask_again(
    gateway: RunningGateway, fake: FakeUpstream, key: str
) -> None:
    body = question(stream=True)
    fake.script(Answer(text="one", oddities=frozenset(["no_usage"])))
    assert [cached(post(gateway, body, idempotency_key=key)) for _ in range(2)] == ["miss", "hit"]
    assert len(calls(fake)) == 1


def test_an_answer_from_the_cache_is_the_key_s_answer_too(
    keeping: RunningGateway, fake: FakeUpstream, key: str
) -> None:
    body = question()
    first = post(keeping, body)
    from_cache = post(keeping, body, idempotency_key=key)
    new = post(keeping, body, cache_control="no-cache")
    again = post(keeping, body, idempotency_key=key, cache_control="no-cache")
    assert [cached(answer) for answer in (first, from_cache, new, again)] == ["miss", "hit", "miss", "hit"]
    assert first.content == from_cache.content == again.content
    assert len(calls(fake)) == 2


@pytest.mark.parametrize("bad", ["x" * 256, "", "café"])
def test_what_is_no_key_is_refused(gateway: RunningGateway, fake: FakeUpstream, bad: str) -> None:
    said = {"authorization": f"Bearer {gateway.key}", "idempotency-key": bad.encode("latin-1")}
    answer = httpx.post(f"{gateway.url}/v1/chat/completions", headers=said, json=question())  # type: ignore[arg-type]
    assert answer.status_code == 400, answer.text
    assert re.search("Idempotency-Key", answer.text)
    assert calls(fake) == []
