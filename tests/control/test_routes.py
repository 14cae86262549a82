"""Routes that an owner changes while the gateway runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest

from headgate.errors import UpstreamFailed
from headgate.routing import traffic as rules
from headgate.routing.breaker import FAILURES
from headgate.testing import FakeUpstream
from headgate.testing.answers import Answer, Pacing
from headgate.testing.faults import Status
from headgate.testing.gateway import RunningGateway, running
from headgate.types import DEFAULT, Secret, Target
from tests.conftest import calls, environ_for
from tests.databases import empty_url

__all__ = ["empty_url"]

ROUTES = "/api/v1/admin/routes"
SETTINGS = """
providers:
  two: {{kind: compatible, base_url: "{base}", key: sk-two-canary-0123456789}}
aliases: {{nick: two/n}}
routes:
  short: {{targets: [two/short], context_length: long}}
  long: {{targets: [two/long]}}
"""


@pytest.fixture
def started(fake: FakeUpstream, tmp_path: Path) -> Iterator[RunningGateway]:
    with running(tmp_path, environ_for(fake), SETTINGS.format(base=fake.base_url("openai"))) as gateway:
        yield gateway


@pytest.fixture
def owner(started: RunningGateway) -> Iterator[httpx.Client]:
    with owning(started) as client:
        yield client


def owning(gateway: RunningGateway) -> httpx.Client:
    headers = {"authorization": f"Bearer {gateway.owner_key}"}
    return httpx.Client(base_url=gateway.url, headers=headers, timeout=20)


def ask(client: httpx.Client, model: str) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
    return client.post("/v1/chat/completions", json=body)


def wrong(answer: httpx.Response) -> tuple[int, str, str]:
    error = answer.json()["error"]
    return answer.status_code, error["param"], error["message"]


def names(client: httpx.Client) -> dict[str, str]:
    return {row["name"]: row["origin"] for row in client.get(ROUTES).json()["data"]}


async def test_a_route_is_put_followed_removed_and_rolled_back_to(
    empty_url: Secret, fake: FakeUpstream, tmp_path: Path
) -> None:
    environ = environ_for(fake) | {"DATABASE_URL": empty_url.reveal().replace("+aiosqlite", "").replace("+asyncpg", "")}
    settings = SETTINGS.format(base=fake.base_url("openai"))
    route = {"targets": [{"provider": "two", "model": "fresh", "weight": 3.0}, "openai/gpt-4o"], "strategy": "weighted"}
    with running(tmp_path, environ, settings) as gateway, owning(gateway) as owner:
        assert ask(owner, "new/er").status_code == 404
        assert owner.put(f"{ROUTES}/new/er", json=route).json() == {
            "name": "new/er", "origin": "run time", "version": 1, "route": route,
        }  # fmt: skip
        assert owner.get(f"{ROUTES}/new/er").json()["route"] == route
        assert ask(owner, "new/er").headers["x-headgate-model"] in ("fresh", "gpt-4o")
        assert "new/er" in {row["id"] for row in owner.get("/v1/models").json()["data"]}
        assert owner.put(f"{ROUTES}/long", json={"targets": ["two/longer"]}).json()["version"] == 2
        assert names(owner) == {"long": "run time", "new/er": "run time", "short": "settings"}
        assert ask(owner, "long").headers["x-headgate-model"] == "longer"
        assert owner.delete(f"{ROUTES}/short").json() == {"version": 3}
        assert ask(owner, "short").status_code == 404
    with running(tmp_path, environ, settings) as gateway, owning(gateway) as owner:
        found = owner.get(ROUTES).json()
        assert (found["version"], found["removed"], found["left_out"]) == (3, ["short"], {})
        assert ask(owner, "short").status_code == 404
        assert owner.post(f"{ROUTES}/rollback", json={"version": 1}).json() == {"version": 4}
        assert names(owner) == {"long": "settings", "new/er": "run time", "short": "settings"}
        assert owner.post(f"{ROUTES}/rollback", json={"version": 0}).json() == {"version": 5}
        assert names(owner) == {"long": "settings", "short": "settings"}
        assert ask(owner, "new/er").status_code == 404
        assert ask(owner, "short").headers["x-headgate-model"] == "short"


def test_the_versions_say_when_by_whom_and_what(owner: httpx.Client) -> None:
    owner.put(f"{ROUTES}/new", json={"targets": ["two/m"]})
    owner.delete(f"{ROUTES}/new")
    first = owner.get(f"{ROUTES}/versions", params={"limit": 1}).json()
    assert first["next_before"] == 2
    (row,) = first["data"]
    assert (row["version"], row["key_id"], row["key_name"], row["what"]) == (2, "env:admin", "admin", "removed new")
    rest = owner.get(f"{ROUTES}/versions", params={"before": 2}).json()
    assert [(row["version"], row["what"]) for row in rest["data"]] == [(1, "put new"), (0, "the settings alone")]
    assert rest["data"][0]["at"] <= row["at"]
    assert rest["next_before"] is None


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        ({"targets": ["tow/m"]}, "targets[0]", "Did you mean two?"),
        ({"targets": [{"provider": "tow", "model": "m"}]}, "targets[0].provider", "Did you mean two?"),
        ({"targets": ["two/m", {"provider": "two"}]}, "targets[1]", "expected a model"),
        ({"targets": [{"provider": "two", "model": "m", "weight": -1}]}, "targets[0].weight", "from 0 to"),
        ({"targets": [{"provider": "two", "model": "m", "colour": 1}]}, "targets[0].colour", "no setting 'colour'"),
        ({"targets": [{"provider": "two", "model": "m", "credential": "x"}]}, "targets[0].credential", "default"),
        ({"targets": ["two/m"], "strategie": "sticky"}, "strategie", "Did you mean strategy?"),
        ({"targets": ["two/m"], "strategy": "best"}, "strategy", "priority or weighted"),
        ({"targets": ["two/m"], "context_length": "lnog"}, "context_length", "Did you mean long?"),
        ({"targets": ["two/m"], "content_filter": "new"}, "content_filter", "circle"),
        ({"targets": "two/m"}, "targets", "a list"),
        ({}, "routes.new", "at least one target"),
        ([], "routes.new", "a table of settings"),
        ({"targets": ["${HOME}/m"]}, "targets[0]", "'${HOME}/m'"),
    ],
)
def test_a_bad_route_is_refused_with_its_field(owner: httpx.Client, body: object, field: str, said: str) -> None:
    status, param, message = wrong(owner.put(f"{ROUTES}/new", json=body))
    assert (status, param) == (400, field)
    assert said in message
    assert owner.get(ROUTES).json()["version"] == 0


@pytest.mark.parametrize("body", [b"", b"{", b'{"targets": ["two/m"]', b"\xff", b"[" * 100_000, b"NaN"])
def test_what_is_no_json_is_refused(owner: httpx.Client, body: bytes) -> None:
    assert owner.put(f"{ROUTES}/new", content=body).status_code == 400
    assert owner.post(f"{ROUTES}/rollback", content=body).status_code == 400


def test_a_body_that_is_too_large_is_refused(owner: httpx.Client) -> None:
    assert owner.put(f"{ROUTES}/new", json={"targets": ["two/m"] * 40_000}).status_code == 413


@pytest.mark.parametrize("body", [{}, {"version": -1}, {"version": "1"}, {"version": 1, "more": 2}, {"version": 2**70}])
def test_a_bad_version_to_go_back_to_is_refused(owner: httpx.Client, body: dict[str, object]) -> None:
    assert wrong(owner.post(f"{ROUTES}/rollback", json=body))[:2] == (400, "version")


def test_a_change_that_would_break_another_route_is_refused_with_that_one(owner: httpx.Client) -> None:
    assert wrong(owner.delete(f"{ROUTES}/long"))[:2] == (400, "routes.short.context_length")
    body = {"targets": ["two/m"], "content_filter": "short"}
    status, _, message = wrong(owner.put(f"{ROUTES}/long", json=body))
    assert status == 400
    assert "short → long → short" in message
    assert wrong(owner.put(f"{ROUTES}/nick", json={"targets": ["two/m"]}))[:2] == (400, "routes.nick")


def test_what_is_not_there_is_404_with_what_comes_near(owner: httpx.Client) -> None:
    answer = owner.get(f"{ROUTES}/shrot")
    assert (answer.status_code, "Did you mean short?" in answer.json()["message"]) == (404, True)
    assert owner.delete(f"{ROUTES}/nothing").status_code == 404
    assert owner.post(f"{ROUTES}/rollback", json={"version": 1}).status_code == 404


@pytest.mark.parametrize("length", [1, 256, 257])
def test_a_routes_name_has_256_characters_at_most(owner: httpx.Client, length: int) -> None:
    answer = owner.put(f"{ROUTES}/{'x' * length}", json={"targets": ["two/m"]})
    assert answer.status_code == (200 if length <= 256 else 400)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ROUTES),
        ("GET", f"{ROUTES}/short"),
        ("PUT", f"{ROUTES}/short"),
        ("DELETE", f"{ROUTES}/short"),
        ("GET", f"{ROUTES}/versions"),
        ("POST", f"{ROUTES}/rollback"),
        ("POST", "/api/v1/admin/reload"),
    ],
)
def test_only_an_owner_may(gateway: RunningGateway, method: str, path: str) -> None:
    assert httpx.request(method, gateway.url + path).status_code == 401
    headers = {"authorization": f"Bearer {gateway.key}"}
    assert httpx.request(method, gateway.url + path, headers=headers).status_code == 403


def test_a_stream_in_flight_goes_on_when_its_route_is_removed(owner: httpx.Client, fake: FakeUpstream) -> None:
    fake.script(Answer(text=" ".join(f"word{number}" for number in range(20)), pacing=Pacing(tokens_per_s=40)))
    body = {"model": "short", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
    with owner.stream("POST", "/v1/chat/completions", json=body) as answer:
        lines = answer.iter_lines()
        next(line for line in lines if "word1" in line)
        assert owner.delete(f"{ROUTES}/short").status_code == 200
        after = [line for line in lines if line]
    assert any("word19" in line for line in after)
    assert after[-1] == "data: [DONE]"
    assert ask(owner, "short").status_code == 404


def test_a_breaker_stays_open_over_a_change_of_routes(owner: httpx.Client, fake: FakeUpstream) -> None:
    def state(model: str) -> Any:
        rows = owner.get("/api/v1/admin/targets").json()["data"]
        return next(row["breaker"] for row in rows if row["model"] == model)

    owner.put(f"{ROUTES}/pair", json={"targets": ["two/first", "two/second"]})
    fake.fault(Status(500), model="first", times=5)
    for _ in range(5):
        assert ask(owner, "pair").status_code == 200
    assert (state("first"), state("second")) == ("open", "closed")
    owner.put(f"{ROUTES}/pair", json={"targets": ["two/third", "two/first"], "strategy": "weighted"})
    assert (state("first"), state("third")) == ("open", "closed")


def test_made_up_names_that_fail_close_no_breaker_of_a_route_whenever_it_was_made(
    owner: httpx.Client, started: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "CONDITIONS", 20)
    assert owner.put(f"{ROUTES}/new", json={"targets": ["two/n", "two/m"]}).status_code == 200
    traffic = started.house.rooms.traffic
    failure = UpstreamFailed("dead", upstream_status=500)
    of_settings, of_run_time = Target("two", "short", DEFAULT), Target("two", "n", DEFAULT)
    for target in (of_settings, of_run_time) * FAILURES:
        traffic.failed(target, failure)
    for number in range(100):
        traffic.failed(Target("two", f"made-up-{number}", DEFAULT), failure)
    assert {traffic.standing(target)[0] for target in (of_settings, of_run_time)} == {"open"}


def test_turns_begin_anew_when_a_route_changes(owner: httpx.Client, fake: FakeUpstream) -> None:
    heavy = {"strategy": "round_robin", "targets": [{"provider": "two", "model": "a", "weight": 1000}, "two/b"]}
    owner.put(f"{ROUTES}/turns", json=heavy)
    for _ in range(3):
        ask(owner, "turns")
    owner.put(f"{ROUTES}/turns", json={"strategy": "round_robin", "targets": ["two/a", "two/b"]})
    fake.clear()
    for _ in range(4):
        ask(owner, "turns")
    assert sorted(call.model for call in calls(fake)) == ["a", "a", "b", "b"]


async def test_another_gateway_on_the_same_database_follows_by_itself(
    empty_url: Secret, fake: FakeUpstream, tmp_path: Path
) -> None:
    environ = environ_for(fake) | {"DATABASE_URL": empty_url.reveal().replace("+aiosqlite", "").replace("+asyncpg", "")}
    settings = SETTINGS.format(base=fake.base_url("openai"))
    with (
        running(tmp_path / "a", environ, settings) as one,
        running(tmp_path / "b", environ, settings) as other,
        owning(one) as here,
        owning(other) as there,
    ):
        here.put(f"{ROUTES}/new", json={"targets": ["two/m"]})
        until = monotonic() + 10
        while ask(there, "new").status_code != 200:
            assert monotonic() < until, "it does not follow"
        assert there.get(ROUTES).json() == here.get(ROUTES).json()
