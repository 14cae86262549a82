"""Other targets and second tries, through the whole gateway."""

from __future__ import annotations

import httpx
import pytest

from headgate.engine.failover import RetryBudget
from headgate.testing import FakeUpstream
from headgate.testing.faults import ErrorEvent, Junk, Status
from headgate.testing.gateway import RunningGateway
from tests.clients.judge import DONE, events
from tests.conftest import calls
from tests.usage import row_of


def ask(model: str, stream: bool = False) -> dict[str, object]:
    return {"model": model, "stream": stream, "messages": [{"role": "user", "content": "Hello"}]}


@pytest.mark.parametrize("stream", [False, True])
def test_a_target_that_refuses_connections_is_passed_over(
    http: httpx.Client, gateway: RunningGateway, stream: bool
) -> None:
    answer = http.post("/v1/chat/completions", json=ask("sturdy", stream))
    assert answer.status_code == 200
    assert "Hello" in answer.text
    assert answer.headers["x-headgate-attempts"] == "2"
    assert answer.headers["x-headgate-provider"] == "spare"
    row = row_of(gateway, answer.headers["x-request-id"])
    assert (row["provider"], row["model"], row["model_served"], row["attempts"]) == (
        "spare",
        "sturdy",
        "gpt-4o-mini",
        2,
    )


@pytest.mark.parametrize(
    "fault", [Status(500), Status(401), Status(429), Status(402), Junk("html"), Junk("error")], ids=str
)
def test_the_next_target_serves_when_one_fails(hasty: httpx.Client, fake: FakeUpstream, fault: Status | Junk) -> None:
    fake.fault(fault, model="gpt-4o", times=9)
    answer = hasty.post("/v1/chat/completions", json=ask("patient"))
    assert answer.json()["choices"][0]["message"]["content"] == "Hello"
    assert [entry.dialect for entry in calls(fake)] == ["openai", "anthropic"]


def test_an_error_that_is_the_first_event_leads_to_the_next_target(hasty: httpx.Client, fake: FakeUpstream) -> None:
    fake.fault(ErrorEvent(0), model="gpt-4o", times=9)
    answer = hasty.post("/v1/chat/completions", json=ask("patient", stream=True))
    assert events(answer.content)[-1] == DONE
    assert answer.headers["x-headgate-provider"] == "anthropic"


def test_an_error_that_comes_later_does_not(hasty: httpx.Client, fake: FakeUpstream) -> None:
    fake.fault(ErrorEvent(2), model="gpt-4o", times=9)
    answer = hasty.post("/v1/chat/completions", json=ask("patient", stream=True))
    assert events(answer.content)[-1] != DONE
    assert len(calls(fake)) == 1


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_a_refusal_of_the_request_is_not_taken_elsewhere(hasty: httpx.Client, fake: FakeUpstream, status: int) -> None:
    fake.fault(Status(status), model="gpt-4o", times=9)
    assert hasty.post("/v1/chat/completions", json=ask("patient")).status_code == status
    assert len(calls(fake)) == 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [500, 502, 503, 504, 529])
@pytest.mark.usefixtures("quick_retries")
def test_a_provider_that_stumbles_is_asked_again(
    http: httpx.Client, fake: FakeUpstream, status: int, stream: bool
) -> None:
    fake.fault(Status(status), times=2)
    answer = http.post("/v1/chat/completions", json=ask("gpt-4o", stream))
    assert answer.status_code == 200
    assert answer.headers["x-headgate-attempts"] == "3"
    assert len(calls(fake)) == 3


def test_an_outage_is_not_answered_with_a_storm(
    http: httpx.Client, gateway: RunningGateway, fake: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headgate.engine.failover.BACKOFF_S", 0.001)
    monkeypatch.setattr(gateway.house.rooms.gateway.failover, "budget", RetryBudget(saved=0.0))
    fake.fault(Status(500), times=999)
    for _ in range(40):
        assert http.post("/v1/chat/completions", json=ask("gpt-4o")).status_code == 502
    assert 40 <= len(calls(fake)) <= 44


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        (Status(429, retry_after="2"), range(2, 3)),
        (Status(429, retry_after_ms="1500"), range(2, 3)),
        (Status(429, retry_date_s=30.0), range(28, 32)),
        (Status(429, retry_after="-5"), range(1)),
        (Status(429, retry_after="99999999999999999999"), range(3600, 3601)),
        (Status(429, retry_after="soon"), range(0)),
        (Status(429, retry_after="inf"), range(3600, 3601)),
    ],
    ids=lambda value: str(value)[:80],
)
def test_the_wait_that_a_provider_wishes_is_passed_on_within_reason(
    http: httpx.Client, fake: FakeUpstream, fault: Status, seconds: range
) -> None:
    fake.fault(fault)
    answer = http.post("/v1/chat/completions", json=ask("gpt-4o"))
    assert answer.status_code == 429
    said = answer.headers.get("retry-after")
    assert (said is None) if not seconds else int(said) in seconds
