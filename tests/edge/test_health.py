"""Whether a gateway lives and is ready, and what its metrics say: pages that need no key."""

from __future__ import annotations

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from headgate import __version__
from headgate.errors import StorageUnavailable
from headgate.testing import FakeUpstream
from headgate.testing.faults import Status
from headgate.testing.gateway import RunningGateway
from tests.conftest import PROVIDER_KEY

HELLO = [{"role": "user", "content": "one two three"}]


def test_a_process_that_answers_lives(gateway: RunningGateway) -> None:
    answer = httpx.get(f"{gateway.url}/health/live")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("path", ["/health", "/api/v1/health", "/health/ready"])
def test_the_parts_are_reported(gateway: RunningGateway, path: str) -> None:
    answer = httpx.get(gateway.url + path)
    report = answer.json()
    assert (answer.status_code, report["status"], report["version"]) == (200, "ok", __version__)
    assert {part["name"] for part in report["components"]} == {"database", "journal"}
    assert all(part["status"] == "ok" and part["latency_ms"] >= 0 for part in report["components"])


def test_a_part_that_is_away_makes_it_not_ready(gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away() -> None:
        raise StorageUnavailable("the database does not answer")

    monkeypatch.setitem(gateway.house.rooms.health._checks, "database", away)
    ready, whole, live = (httpx.get(gateway.url + path) for path in ("/health/ready", "/health", "/health/live"))
    assert (ready.status_code, whole.status_code, live.status_code) == (503, 200, 200)
    assert whole.json()["status"] == "degraded"
    assert {part["name"]: part["status"] for part in ready.json()["components"]} == {
        "database": "unavailable",
        "journal": "ok",
    }


def metrics(gateway: RunningGateway) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    answer = httpx.get(f"{gateway.url}/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def grown(before: dict[tuple[str, frozenset[tuple[str, str]]], float], gateway: RunningGateway) -> dict[str, float]:
    """By how much each metric grew, summed over its labels."""
    sums: dict[str, float] = {}
    for (name, labels), value in metrics(gateway).items():
        sums[name] = sums.get(name, 0.0) + value - before.get((name, labels), 0.0)
    return sums


def test_requests_and_tokens_are_counted(http: httpx.Client, gateway: RunningGateway) -> None:
    before = metrics(gateway)
    for stream in (False, True):
        for model in ("gpt-4o", "claude-sonnet-4-5", "openrouter/openai/gpt-4o"):
            http.post("/v1/chat/completions", json={"model": model, "messages": HELLO, "stream": stream})
    http.post("/v1/embeddings", json={"model": "text-embedding-3-small", "input": "one two"})
    more = grown(before, gateway)
    while more["headgate_requests_total"] < 7:  # a stream's request is over a moment after its caller has it all
        more = grown(before, gateway)
    assert more["headgate_requests_total"] == 7
    assert more["headgate_tokens_total"] == 6 * (3 + 3) + 2
    assert more["headgate_cost_usd_total"] == pytest.approx(2 * (3 * 250 + 3 * 1_250) / 1e9)


@pytest.mark.usefixtures("quick_retries")
def test_failures_of_providers_are_counted(http: httpx.Client, gateway: RunningGateway, fake: FakeUpstream) -> None:
    before = metrics(gateway)
    fake.fault(Status(500), times=3)
    http.post("/v1/chat/completions", json={"model": "gpt-4o", "messages": HELLO})
    http.post("/v1/chat/completions", json={"model": "sturdy", "messages": HELLO})
    assert grown(before, gateway)["headgate_upstream_errors_total"] == 4


def test_nothing_is_in_flight_when_nothing_is_asked(gateway: RunningGateway) -> None:
    assert metrics(gateway)["headgate_in_flight", frozenset()] in (0, 1)


def test_no_label_says_a_key_or_a_stranger_to_the_metrics(http: httpx.Client, gateway: RunningGateway) -> None:
    http.post("/v1/chat/completions", json={"model": "gpt-4o", "messages": HELLO, "user": "somebody-by-name"})
    http.post("/v1/chat/completions", json={"model": "a-name-that-nobody-knows", "messages": HELLO})
    said = httpx.get(f"{gateway.url}/metrics").text
    assert gateway.key not in said
    assert PROVIDER_KEY not in said
    assert "somebody-by-name" not in said
    assert "a-name-that-nobody-knows" not in said
