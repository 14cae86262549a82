"""Everything that can go wrong with a provider, through the whole gateway."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import httpx
import pytest

from headgate.testing import FakeUpstream
from headgate.testing.answers import Answer, Pacing
from headgate.testing.faults import (
    BadChunks,
    BadLength,
    Drip,
    EndlessLine,
    ErrorEvent,
    Fault,
    GzipBomb,
    HeaderBomb,
    Junk,
    KeyEcho,
    Quota,
    Raw,
    Reset,
    Silence,
    Stall,
    Status,
    TinyChunks,
)
from headgate.testing.gateway import RunningGateway
from tests.clients.judge import DONE, assert_error, events
from tests.conftest import PROVIDER_KEY, calls
from tests.usage import row_of

MODELS = ["gpt-4o", "claude-sonnet-4-5"]
"""One whose bytes pass, one that is translated."""
CUT, JUNK, AWAY = "upstream_stream_cut", "upstream_protocol_error", "upstream_unreachable"
FAILED, OVERLOADED = (502, "upstream_failed"), (503, "upstream_failed")

STATUSES: list[tuple[Fault, int, str, int]] = [
    *((Status(status), status, "", 1) for status in (400, 404, 409, 413, 422)),
    *((Status(status), 502, "upstream_auth_error", 1) for status in (401, 403)),
    (KeyEcho(401), 502, "upstream_auth_error", 1),
    (KeyEcho(400), 400, "", 1),
    (Status(402), 429, "insufficient_quota", 1),
    (Quota(), 429, "insufficient_quota", 1),
    (Status(408), 504, "upstream_timeout", 1),
    (Status(429), 429, "rate_limit_exceeded", 1),
    *((Status(status), *FAILED, 3) for status in (500, 502, 504)),
    *((Status(status), *OVERLOADED, 3) for status in (503, 529)),
    (Status(302, location="http://127.0.0.1:9/"), 502, JUNK, 1),
]
"""What a provider answers; what the caller is told, as status and code (empty: the provider's own); how many calls."""

BROKEN: list[tuple[Fault, str | tuple[str, ...]]] = [
    *((Junk(kind), (JUNK, CUT)) for kind in ("text", "html", "empty", "null", "half", "bytes")),
    *((Raw(kind), JUNK) for kind in ("ssh", "status", "header", "old")),
    *((BadLength(kind), JUNK) for kind in ("negative", "word", "twice", "both")),
    (Raw("continue"), AWAY),
    (Reset("rst"), AWAY),
    (Reset("fin"), AWAY),
    (HeaderBomb(), JUNK),
    (GzipBomb(1), JUNK),
    (TinyChunks(1000), (JUNK, CUT)),
    (EndlessLine(10), JUNK),
]
"""What is no answer at all: 502 before the caller has a byte."""


def ask(model: str, stream: bool) -> dict[str, object]:
    return {"model": model, "stream": stream, "messages": [{"role": "user", "content": "one two three"}]}


def refused(answer: httpx.Response, gateway: RunningGateway) -> tuple[int, str]:
    """Status and code of an error answer that is one of ours in every respect, and the row that tells the same."""
    assert_error(answer.content)
    assert DONE not in answer.content
    assert PROVIDER_KEY not in f"{answer.text} {answer.headers}"
    code = answer.json()["error"]["code"]
    row = row_of(gateway, answer.headers["x-request-id"])
    assert (row["status"], row["error"]) == (answer.status_code, code)
    assert row["cost_usd"] is None
    assert PROVIDER_KEY not in json.dumps(row)
    return answer.status_code, code


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("fault", "status", "code", "attempts"), STATUSES, ids=lambda value: str(value)[:30])
@pytest.mark.usefixtures("quick_retries")
def test_a_refusal_is_told_in_the_callers_dialect(
    http: httpx.Client,
    gateway: RunningGateway,
    fake: FakeUpstream,
    fault: Fault,
    status: int,
    code: str,
    attempts: int,
    model: str,
    stream: bool,
) -> None:
    fake.fault(fault, times=9)
    answer = http.post("/v1/chat/completions", json=ask(model, stream))
    told = refused(answer, gateway)
    assert told == (status, code or told[1])
    assert len(calls(fake)) == attempts
    passed_on = status < 500 and code != "insufficient_quota"
    assert answer.headers.get("x-should-retry") == (None if passed_on else "false")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("fault", "codes"), BROKEN, ids=lambda value: str(value)[:30])
def test_what_is_no_answer_is_never_a_200(
    http: httpx.Client,
    gateway: RunningGateway,
    fake: FakeUpstream,
    fault: Fault,
    codes: str | Sequence[str],
    model: str,
    stream: bool,
) -> None:
    fake.fault(fault, times=9)
    status, code = refused(http.post("/v1/chat/completions", json=ask(model, stream)), gateway)
    assert status == 502
    assert code in codes
    assert len(calls(fake)) == 1, "it is not tried again: the provider may have worked for it"


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("fault", "stream"), [(Junk("error"), False), (Junk("error"), True), (ErrorEvent(0), True)])
@pytest.mark.usefixtures("quick_retries")
def test_an_error_object_under_a_200_is_a_failure(
    http: httpx.Client, gateway: RunningGateway, fake: FakeUpstream, fault: Fault, stream: bool, model: str
) -> None:
    fake.fault(fault, times=9)
    assert refused(http.post("/v1/chat/completions", json=ask(model, stream)), gateway) == FAILED
    assert len(calls(fake)) == 3


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("fault", "code"),
    [(ErrorEvent(3), "upstream_failed"), *((BadChunks(kind), JUNK) for kind in ("size", "end", "negative", "huge"))],
    ids=str,
)
def test_a_failure_in_mid_stream_is_an_error_event_and_no_end_mark(
    http: httpx.Client, gateway: RunningGateway, fake: FakeUpstream, fault: Fault, code: str, model: str
) -> None:
    fake.script(Answer(text="one two three four"))
    fake.fault(fault)
    answer = http.post("/v1/chat/completions", json=ask(model, True))
    assert answer.status_code == 200
    *chunks, last = events(answer.content)
    assert chunks
    assert_error(last)
    assert json.loads(last)["error"]["code"] == code
    row = row_of(gateway, answer.headers["x-request-id"])
    assert (row["status"], row["error"], row["partial"]) == (200, code, True)
    assert len(calls(fake)) == 1, "nothing is tried again after the first byte"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_silence_before_the_first_byte_is_a_timeout(
    hasty: httpx.Client, hasty_gateway: RunningGateway, fake: FakeUpstream, model: str, stream: bool
) -> None:
    fake.fault(Silence())
    assert refused(hasty.post("/v1/chat/completions", json=ask(model, stream)), hasty_gateway) == (
        504,
        "upstream_timeout",
    )


def test_the_next_target_is_tried_after_a_silence(
    hasty: httpx.Client, hasty_gateway: RunningGateway, fake: FakeUpstream
) -> None:
    fake.fault(Silence(), model="gpt-4o")
    answer = hasty.post("/v1/chat/completions", json=ask("patient", False))
    assert answer.json()["choices"][0]["message"]["content"] == "one two three"
    assert answer.headers["x-headgate-attempts"] == "2"
    assert answer.headers["x-headgate-provider"] == "anthropic"
    assert row_of(hasty_gateway, answer.headers["x-request-id"])["attempts"] == 2


@pytest.mark.parametrize("model", MODELS)
def test_silence_in_mid_stream_ends_in_an_error_event(
    hasty: httpx.Client, hasty_gateway: RunningGateway, fake: FakeUpstream, model: str
) -> None:
    fake.script(Answer(text="one two three four"))
    fake.fault(Stall(after=4))
    answer = hasty.post("/v1/chat/completions", json=ask(model, True))
    *chunks, last = events(answer.content)
    assert chunks
    assert json.loads(last)["error"]["code"] == "upstream_timeout"
    row = row_of(hasty_gateway, answer.headers["x-request-id"])
    assert (row["error"], row["partial"]) == ("upstream_timeout", True)
    assert row["completion_tokens"] > 0


def test_a_provider_that_drips_its_headers_is_given_up(hasty: httpx.Client, fake: FakeUpstream) -> None:
    fake.fault(Drip(0.02))
    answer = hasty.post("/v1/chat/completions", json=ask("gpt-4o", False))
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "upstream_timeout")


def test_a_stream_that_drips_on_and_on_is_ended_by_the_total_limit(hasty: httpx.Client, fake: FakeUpstream) -> None:
    fake.script(Answer(text="word " * 60, pacing=Pacing(tokens_per_s=20)))
    began = monotonic()
    answer = hasty.post("/v1/chat/completions", json=ask("gpt-4o", True))
    assert 1.0 < monotonic() - began < 2.5
    assert json.loads(events(answer.content)[-1])["error"]["code"] == "upstream_timeout"


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [("hole/m", 504, "upstream_timeout"), ("nobody/gone", 502, AWAY)],
)
def test_a_provider_that_cannot_be_reached_is_said_at_once(
    hasty: httpx.Client, hasty_gateway: RunningGateway, model: str, status: int, code: str
) -> None:
    answer = hasty.post("/v1/chat/completions", json=ask(model, False))
    assert refused(answer, hasty_gateway) == (status, code)
    assert answer.elapsed.total_seconds() < 2


def test_a_black_hole_costs_its_limit_and_the_next_target_serves(hasty: httpx.Client) -> None:
    answer = hasty.post("/v1/chat/completions", json=ask("hollow", False))
    assert (answer.status_code, answer.headers["x-headgate-attempts"]) == (200, "2")


def test_others_are_served_while_calls_hang_in_a_black_hole(hasty: httpx.Client) -> None:
    with ThreadPoolExecutor(20) as threads:
        hanging = [threads.submit(hasty.post, "/v1/chat/completions", json=ask("hole/m", False)) for _ in range(20)]
        while not all(call.done() for call in hanging):
            assert hasty.post("/v1/chat/completions", json=ask("gpt-4o", False)).status_code == 200
        assert {call.result().status_code for call in hanging} == {504}
