"""Routes, credentials, breakers and fallbacks through the whole gateway."""

from __future__ import annotations

import json

import httpx
import pytest

from headgate.engine.failover import RetryBudget
from headgate.errors import UpstreamFailed
from headgate.routing import breaker
from headgate.testing import FakeUpstream
from headgate.testing.faults import ErrorEvent, Fault, Junk, NearLimit, Quota, Reset, Status
from headgate.testing.gateway import RunningGateway
from headgate.types import Target
from tests.conftest import calls
from tests.usage import row_of

FIRST, SECOND = Target("two", "first"), Target("two", "second")
TOO_LONG = Status(400, "This model's maximum context length is 8192 tokens.", code="context_length_exceeded")
FILTERED = Status(400, "The prompt triggered the content policy.", code="content_filter")


def ask(model: str, stream: bool = False, **more: object) -> dict[str, object]:
    return {"model": model, "stream": stream, "messages": [{"role": "user", "content": "Hello"}], **more}


def models(fake: FakeUpstream) -> list[str]:
    return [entry.model for entry in calls(fake)]


def keys(fake: FakeUpstream) -> list[str]:
    return [entry.headers["authorization"].split("-")[1] for entry in calls(fake)]


def test_the_credentials_of_a_provider_take_turns(routed_http: httpx.Client, fake: FakeUpstream) -> None:
    for model in ("keys", "one/anything", "keys", "one/anything"):
        assert routed_http.post("/v1/chat/completions", json=ask(model)).status_code == 200
    assert sorted(keys(fake)) == ["blue", "blue", "green", "green"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "fault", [Status(429, retry_after="30"), Status(401), Status(403), Status(402), Quota()], ids=str
)
def test_a_credential_that_is_refused_rests_and_the_other_serves(
    routed_http: httpx.Client, routed_gateway: RunningGateway, fake: FakeUpstream, fault: Fault, stream: bool
) -> None:
    fake.fault(fault)
    answer = routed_http.post("/v1/chat/completions", json=ask("keys", stream))
    assert (answer.status_code, answer.headers["x-headgate-attempts"]) == (200, "2")
    tired, fresh = keys(fake)
    assert {tired, fresh} == {"blue", "green"}
    assert row_of(routed_gateway, answer.headers["x-request-id"])["attempts"] == 2
    for _ in range(3):
        assert routed_http.post("/v1/chat/completions", json=ask("keys", stream)).headers["x-headgate-attempts"] == "1"
    assert keys(fake)[2:] == [fresh] * 3


def test_a_429_that_nobody_can_make_good_is_passed_on(routed_http: httpx.Client, fake: FakeUpstream) -> None:
    fake.fault(Status(429, retry_after="7"), times=9)
    answer = routed_http.post("/v1/chat/completions", json=ask("keys"))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    assert sorted(keys(fake)) == ["blue", "green"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["refused", "unknown", "untrusted"])
def test_a_target_that_cannot_be_reached_is_passed_over_at_once(
    routed_http: httpx.Client, model: str, stream: bool
) -> None:
    answer = routed_http.post("/v1/chat/completions", json=ask(model, stream))
    assert (answer.status_code, answer.headers["x-headgate-attempts"]) == (200, "2")


def test_where_none_can_be_reached_that_is_said_after_three_attempts(
    routed_http: httpx.Client, routed_gateway: RunningGateway
) -> None:
    answer = routed_http.post("/v1/chat/completions", json=ask("away"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_unreachable")
    row = row_of(routed_gateway, answer.headers["x-request-id"])
    assert (row["attempts"], row["cost_usd"]) == (3, None)


@pytest.mark.parametrize(("saved", "attempts"), [(10.0, 2), (0.0, 1)])
def test_the_last_target_is_dialled_once_more_within_the_budget(
    routed_http: httpx.Client,
    routed_gateway: RunningGateway,
    monkeypatch: pytest.MonkeyPatch,
    saved: float,
    attempts: int,
) -> None:
    monkeypatch.setattr(routed_gateway.house.rooms.gateway.failover, "budget", RetryBudget(saved))
    answer = routed_http.post("/v1/chat/completions", json=ask("nobody/x"))
    assert answer.status_code == 502
    assert row_of(routed_gateway, answer.headers["x-request-id"])["attempts"] == attempts


def test_at_most_three_targets_are_tried(routed_http: httpx.Client, fake: FakeUpstream) -> None:
    fake.fault(Status(500), times=99)
    assert routed_http.post("/v1/chat/completions", json=ask("five")).status_code == 502
    assert models(fake) == ["a", "b", "c"]


@pytest.mark.parametrize("fault", [Status(500), Status(529), Junk("html"), Junk("empty"), Reset("rst")], ids=str)
def test_a_dead_target_costs_five_tries_and_no_caller_anything(
    routed_http: httpx.Client, routed_gateway: RunningGateway, fake: FakeUpstream, fault: Fault
) -> None:
    fake.fault(fault, model="first", times=99)
    for _ in range(20):
        assert routed_http.post("/v1/chat/completions", json=ask("pair")).status_code == 200
    assert models(fake).count("first") == 5
    assert models(fake).count("second") == 20


def test_a_stream_that_always_breaks_opens_the_breaker_too(routed_http: httpx.Client, fake: FakeUpstream) -> None:
    fake.fault(ErrorEvent(2), model="first", times=99)
    for _ in range(8):
        assert routed_http.post("/v1/chat/completions", json=ask("pair", stream=True)).status_code == 200
    assert models(fake) == ["first"] * 5 + ["second"] * 3


def test_a_probe_brings_a_target_back(
    routed_http: httpx.Client, fake: FakeUpstream, monkeypatch: pytest.MonkeyPatch, routed_gateway: RunningGateway
) -> None:
    monkeypatch.setattr(breaker, "OPEN_S", 1e-9)
    routed_gateway.house.rooms.traffic.forget()
    fake.fault(Status(500), model="first", times=5)
    served = [routed_http.post("/v1/chat/completions", json=ask("pair")).headers["x-headgate-model"] for _ in range(8)]
    assert [name.split("-")[0] for name in served] == ["second"] * 5 + ["first"] * 3
    assert routed_gateway.house.rooms.traffic.breaker(FIRST).failures == 0


def test_an_outage_of_all_targets_costs_one_try_and_a_tenth_a_request(
    routed_http: httpx.Client, routed_gateway: RunningGateway, fake: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routed_gateway.house.rooms.gateway.failover, "budget", RetryBudget(saved=0.0))
    for target in (FIRST, SECOND):
        for _ in range(breaker.FAILURES):
            routed_gateway.house.rooms.traffic.failed(target, UpstreamFailed("dead", upstream_status=500))
    fake.fault(Status(500), times=9999)
    for _ in range(60):
        assert routed_http.post("/v1/chat/completions", json=ask("turns")).status_code == 502
    assert 60 <= len(calls(fake)) <= 66


def test_the_last_hope_is_tried_though_its_breaker_is_open(
    routed_http: httpx.Client, routed_gateway: RunningGateway
) -> None:
    for target in (FIRST, SECOND):
        for _ in range(breaker.FAILURES):
            routed_gateway.house.rooms.traffic.failed(target, UpstreamFailed("dead", upstream_status=500))
    assert routed_http.post("/v1/chat/completions", json=ask("pair")).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
def test_requests_that_are_too_long_or_filtered_go_to_the_route_for_them(
    routed_http: httpx.Client, fake: FakeUpstream, stream: bool
) -> None:
    fake.fault(TOO_LONG, model="short", times=9)
    answer = routed_http.post("/v1/chat/completions", json=ask("short", stream))
    assert (answer.status_code, answer.headers["x-headgate-attempts"]) == (200, "2")
    assert models(fake) == ["short", "long"]
    fake.clear()
    fake.fault(FILTERED, model="short", times=9)
    assert routed_http.post("/v1/chat/completions", json=ask("short", stream)).status_code == 200
    assert models(fake) == ["short", "free"]


def test_one_fallback_leads_to_the_next_and_there_it_ends(routed_http: httpx.Client, fake: FakeUpstream) -> None:
    fake.fault(TOO_LONG, model="short", times=9)
    fake.fault(FILTERED, times=9)
    answer = routed_http.post("/v1/chat/completions", json=ask("short"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "content_filter")
    assert models(fake) == ["short", "long", "free"]


def test_without_a_fallback_the_refusal_is_passed_on(routed_http: httpx.Client, fake: FakeUpstream) -> None:
    fake.fault(TOO_LONG, times=9)
    answer = routed_http.post("/v1/chat/completions", json=ask("pair"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "context_length_exceeded")
    assert models(fake) == ["first"]


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (ErrorEvent(0, status=429, kind="rate_limit_error"), 429, "rate_limit_exceeded"),
        (ErrorEvent(0, status=429, code="insufficient_quota"), 429, "insufficient_quota"),
        (ErrorEvent(0, status=400, kind="invalid_request_error"), 400, "upstream_refused"),
        (ErrorEvent(0, status=400, code="context_length_exceeded"), 400, "context_length_exceeded"),
        (ErrorEvent(0, status=401, kind="authentication_error"), 502, "upstream_auth_error"),
        (ErrorEvent(0, status=529, kind="overloaded_error"), 503, "upstream_failed"),
        (ErrorEvent(0, status=500, kind="api_error"), 502, "upstream_failed"),
    ],
    ids=lambda value: str(value)[:60],
)
@pytest.mark.parametrize("model", ["two/x", "claude-sonnet-4-5"])
def test_an_error_as_the_first_event_is_told_as_what_it_is(
    routed_http: httpx.Client, fake: FakeUpstream, fault: ErrorEvent, status: int, code: str, model: str
) -> None:
    if model.startswith("claude") and fault.code:
        fault = ErrorEvent(0, message=f"prompt is too long ({fault.code})", kind="invalid_request_error")
        status, code = 400, "context_length_exceeded"
    fake.fault(fault, times=9)
    answer = routed_http.post("/v1/chat/completions", json=ask(model, stream=True))
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_an_answer_that_says_its_limit_is_near_sends_the_next_request_elsewhere(
    routed_http: httpx.Client, fake: FakeUpstream
) -> None:
    fake.fault(NearLimit(), model="first")
    for _ in range(3):
        assert routed_http.post("/v1/chat/completions", json=ask("pair")).status_code == 200
    assert models(fake) == ["first", "second", "second"]


def test_a_conversation_stays_at_its_target(routed_http: httpx.Client, fake: FakeUpstream) -> None:
    used: dict[str, set[str]] = {}
    for number in range(24):
        key = f"key-{number % 8}"
        answer = routed_http.post("/v1/chat/completions", json=ask("sticky", prompt_cache_key=key))
        assert answer.status_code == 200
        used.setdefault(key, set()).add(calls(fake)[-1].model)
    assert all(len(targets) == 1 for targets in used.values())
    assert len(set.union(*used.values())) > 1


def test_the_session_header_makes_a_conversation_too(routed_http: httpx.Client, fake: FakeUpstream) -> None:
    for number in range(12):
        body = {"model": "sticky", "messages": [{"role": "user", "content": f"question {number}"}]}
        routed_http.post("/v1/chat/completions", json=body, headers={"x-claude-code-session-id": "s"})
    assert len(set(models(fake))) == 1


def test_routes_are_listed_among_the_models(routed_http: httpx.Client) -> None:
    listed = {row["id"] for row in routed_http.get("/v1/models").json()["data"]}
    assert {"keys", "pair", "sticky"} <= listed
    assert routed_http.get("/v1/models/pair").json()["id"] == "pair"


def test_no_credential_is_in_any_answer(routed_http: httpx.Client, fake: FakeUpstream) -> None:
    fake.fault(Status(400, "You sent canary-green-0123456789 and canary-blue-0123456789"), times=9)
    answer = routed_http.post("/v1/chat/completions", json=ask("keys"))
    assert "canary" not in json.dumps(answer.json())
