"""What an owner is shown of targets and plans."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from headgate.testing import FakeUpstream
from headgate.testing.faults import Status
from headgate.testing.gateway import RunningGateway, running
from tests.conftest import environ_for

SETTINGS = """
providers:
  two:
    kind: compatible
    base_url: {base}
    credentials: {{blue: {{key: sk-blue}}, green: {{key: sk-green}}}}
routes:
  pair:
    strategy: weighted
    context_length: long
    targets:
      - {{provider: two, model: first, credential: blue}}
      - {{provider: two, model: second, credential: green, priority: 1}}
  long: {{targets: [two/long]}}
  own: {{targets: [echo/echo, two/first]}}
"""
TARGETS, EXPLAIN = "/api/v1/admin/targets", "/api/v1/admin/explain"


@pytest.fixture
def started(fake: FakeUpstream, tmp_path: Path) -> Iterator[RunningGateway]:
    with running(tmp_path, environ_for(fake), SETTINGS.format(base=fake.base_url("openai"))) as gateway:
        yield gateway


@pytest.fixture
def owner(started: RunningGateway) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {started.owner_key}"}
    with httpx.Client(base_url=started.url, headers=headers, timeout=20) as client:
        yield client


def spoil(owner: httpx.Client, fake: FakeUpstream) -> None:
    """Five failures of the first target: its breaker opens."""
    fake.fault(Status(500), model="first", times=5)
    body = {"model": "pair", "messages": [{"role": "user", "content": "Hello"}]}
    for _ in range(5):
        assert owner.post("/v1/chat/completions", json=body).status_code == 200


def test_targets_show_their_breakers_and_what_is_held_against_them(owner: httpx.Client, fake: FakeUpstream) -> None:
    spoil(owner, fake)
    rows = {(row["model"], row["credential"]): row for row in owner.get(TARGETS).json()["data"]}
    routed = {("first", "blue"), ("second", "green"), ("long", "blue"), ("long", "green")}
    assert set(rows) == routed | {("first", "green"), ("echo", "default")}
    first, second = rows["first", "blue"], rows["second", "green"]
    assert (first["breaker"], first["state"], first["failures"], first["routes"]) == (
        "open",
        "open",
        5,
        ["pair", "own"],
    )
    assert first["reason"].startswith("5 failures in a row; to be probed in ")
    assert first["first_token_ms"] is None
    assert (second["breaker"], second["failures"], second["in_flight"]) == ("closed", 0, 0)
    assert second["first_token_ms"] > 0


def test_a_provider_that_answers_by_itself_is_measured_too(owner: httpx.Client) -> None:
    body = {"model": "own", "messages": [{"role": "user", "content": "Hello"}]}
    assert owner.post("/v1/chat/completions", json=body).headers["x-headgate-provider"] == "echo"
    rows = {row["provider"]: row for row in owner.get(TARGETS).json()["data"]}
    assert rows["echo"]["first_token_ms"] > 0
    assert rows["echo"]["in_flight"] == 0


def test_metrics_show_breakers_and_failures_of_routes_targets_only(owner: httpx.Client, fake: FakeUpstream) -> None:
    spoil(owner, fake)
    fake.fault(Status(500), times=3)
    body = {"model": "two/a-name-that-i-made-up", "messages": [{"role": "user", "content": "Hello"}]}
    assert owner.post("/v1/chat/completions", json=body).status_code == 502
    samples = {
        (sample.name, *(sample.labels.get(label, "") for label in ("model", "credential", "state"))): sample.value
        for family in text_string_to_metric_families(owner.get("/metrics").text)
        for sample in family.samples
    }
    assert samples["headgate_target_breakers", "first", "blue", "open"] == 1
    assert samples["headgate_target_breakers", "second", "green", "closed"] == 1
    assert ("headgate_target_breakers", "first", "blue", "closed") not in samples
    assert samples["headgate_target_failures_total", "first", "blue", ""] == 5
    others = [value for key, value in samples.items() if key[:2] == ("headgate_target_failures_total", "other")]
    assert sum(others) == 3


def test_a_plan_is_explained_as_it_would_be_followed_now(owner: httpx.Client, fake: FakeUpstream) -> None:
    before = owner.get(EXPLAIN, params={"model": "pair"}).json()
    assert (before["found_by"], before["strategy"]) == ("route", "weighted")
    assert before["instead"] == {"context_length_exceeded": "long"}
    assert [(row["model"], row["state"], row["reason"]) for row in before["targets"]] == [
        ("first", "closed", "alone in tier 1 of 2"),
        ("second", "closed", "alone in tier 2 of 2"),
    ]
    spoil(owner, fake)
    after = owner.get(EXPLAIN, params={"model": "pair"}).json()["targets"]
    assert [(row["model"], row["state"]) for row in after] == [("second", "closed"), ("first", "open")]


def test_a_name_without_a_route_is_explained_too(owner: httpx.Client) -> None:
    found = owner.get(EXPLAIN, params={"model": "gpt-4o"}).json()
    assert (found["found_by"], found["strategy"]) == ("prefix", None)
    assert [(row["provider"], row["model"], row["reason"]) for row in found["targets"]] == [
        ("openai", "gpt-4o", "the only target")
    ]


def test_what_cannot_be_explained_is_said(owner: httpx.Client) -> None:
    assert owner.get(EXPLAIN, params={"model": "no-such-model"}).status_code == 404
    assert owner.get(EXPLAIN).status_code == 400
    assert owner.get(EXPLAIN, params={"model": ""}).status_code == 400


@pytest.mark.parametrize("path", [TARGETS, f"{EXPLAIN}?model=pair"])
def test_only_an_owner_is_shown_them(gateway: RunningGateway, path: str) -> None:
    assert httpx.get(gateway.url + path).status_code == 401
    headers = {"authorization": f"Bearer {gateway.key}"}
    assert httpx.get(gateway.url + path, headers=headers).status_code == 403
