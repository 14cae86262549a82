"""The caller's own limit: `x-headgate-timeout-ms`."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from headgate.testing import FakeUpstream
from headgate.testing.answers import Answer
from headgate.testing.faults import Silence, Stall
from headgate.testing.gateway import RunningGateway
from tests.clients.judge import DONE, assert_error, events
from tests.conftest import calls
from tests.usage import row_of

HEADER = "x-headgate-timeout-ms"


def ask(model: str, stream: bool) -> dict[str, object]:
    return {"model": model, "stream": stream, "messages": [{"role": "user", "content": "one two three"}]}


@pytest.mark.parametrize("said", ["", "0", "-1", "1.5", "soon", "1e3", "86400001", "9" * 40, "1, 2", "١٠"])
def test_what_is_no_time_is_refused_by_name(http: httpx.Client, fake: FakeUpstream, said: str) -> None:
    answer = http.post("/v1/chat/completions", json=ask("gpt-4o", False), headers={HEADER: said.encode()})  # type: ignore[dict-item]
    assert answer.status_code == 400
    assert_error(answer.content)
    assert answer.json()["error"]["param"] == HEADER
    assert not calls(fake)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["gpt-4o", "claude-sonnet-4-5", "sturdy", "echo"])
def test_an_answer_within_its_time_is_like_any_other(http: httpx.Client, model: str, stream: bool) -> None:
    answer = http.post("/v1/chat/completions", json=ask(model, stream), headers={HEADER: "60000"})
    assert answer.status_code == 200
    if stream:
        assert events(answer.content)[-1] == DONE


@pytest.mark.parametrize("stream", [False, True])
def test_time_that_is_over_before_the_answer_is_a_504(
    http: httpx.Client, gateway: RunningGateway, fake: FakeUpstream, stream: bool
) -> None:
    fake.fault(Silence(), times=9)
    answer = http.post("/v1/chat/completions", json=ask("gpt-4o", stream), headers={HEADER: "300"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "deadline_passed")
    assert answer.headers["x-should-retry"] == "false"
    row = row_of(gateway, answer.headers["x-request-id"])
    assert (row["status"], row["error"], row["attempts"]) == (504, "deadline_passed", 1)
    assert row["total_ms"] >= 290, "the loop counts in whole milliseconds"
    asyncio.run(calls(fake)[0].wait_left(3))
    assert not gateway.house.rooms.traffic.ailing, "a caller in a hurry is no fault of the target"


def test_time_that_is_over_in_mid_stream_is_an_error_event(
    http: httpx.Client, gateway: RunningGateway, fake: FakeUpstream
) -> None:
    fake.script(Answer(text="one two three four"))
    fake.fault(Stall(after=3))
    answer = http.post("/v1/chat/completions", json=ask("gpt-4o", True), headers={HEADER: "300"})
    *chunks, last = events(answer.content)
    assert chunks
    assert json.loads(last)["error"]["code"] == "deadline_passed"
    row = row_of(gateway, answer.headers["x-request-id"])
    assert (row["status"], row["error"], row["partial"]) == (200, "deadline_passed", True)
    assert not gateway.house.rooms.traffic.ailing
