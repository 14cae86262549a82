"""Settings that are read again while the gateway serves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

import httpx
import pytest

from headgate.config import Transport
from headgate.errors import UpstreamUnreachable
from headgate.testing import FakeUpstream
from headgate.testing.answers import Answer, Pacing
from headgate.testing.faults import Silence, Status
from headgate.testing.gateway import CALLER_KEY, OWNER_KEY, RunningGateway, running
from headgate.types import Target
from headgate.upstream.lean import Lean
from tests.conftest import calls

RELOAD, ROUTES = "/api/v1/admin/reload", "/api/v1/admin/routes"
SETTINGS = """
providers:
  two: {kind: compatible, base_url: "BASE", key: sk-two-canary-0123456789}
  away: {kind: compatible, base_url: "http://127.0.0.1:9", key: sk-away-canary-0123456789}
routes:
  pair: {targets: [two/first, two/second]}
"""


class Site:
    """A gateway whose settings are changed: texts of a headgate.yaml in which BASE is the fake's address."""

    def __init__(self, folder: Path, fake: FakeUpstream) -> None:
        self._folder = folder
        self._base = fake.base_url("openai")
        self.gateway: RunningGateway
        self.owner: httpx.Client

    def text(self, settings: str) -> str:
        return settings.replace("BASE", self._base)

    def write(self, settings: str) -> None:
        (self._folder / "headgate.yaml").write_text(self.text(settings))

    def keys(self, *lines: str) -> None:
        (self._folder / ".env").write_text("\n".join(lines))

    def reload(self, settings: str) -> dict[str, list[str]]:
        self.write(settings)
        answer: dict[str, list[str]] = self.owner.post(RELOAD).raise_for_status().json()
        return answer

    def ask(self, model: str, key: str = OWNER_KEY) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
        headers = {"authorization": f"Bearer {key}"}
        return self.owner.post("/v1/chat/completions", json=body, headers=headers)


@pytest.fixture
def site(fake: FakeUpstream, tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path, fake)
    with (
        running(tmp_path, {"API_KEYS": ""}, site.text(SETTINGS)) as site.gateway,
        httpx.Client(base_url=site.gateway.url, timeout=20) as site.owner,
    ):
        site.owner.headers["authorization"] = f"Bearer {OWNER_KEY}"
        yield site


def awaited(condition: Callable[[], bool]) -> None:
    """Waits for what has no event of its own, ten seconds at most."""
    pause, until = Event(), monotonic() + 10
    while not condition():
        assert monotonic() < until
        pause.wait(0.02)


def test_providers_routes_aliases_and_prefixes_are_replaced(site: Site, fake: FakeUpstream) -> None:
    changed = site.reload("""
server: {port: 1234}
providers:
  two: {kind: compatible, base_url: "BASE", key: sk-new-canary-0123456789}
  three: {kind: compatible, base_url: "BASE", key: sk-three-canary-0123456789, models: [a-model-of-three]}
routes: {pair: {targets: [three/first]}, other: {targets: [two/other]}}
aliases: {nick: three/nicked}
prefixes: {mine-: {provider: three, strip: true}}
answer_model: asked
""")
    assert changed["needs_restart"] == ["server.port"]
    assert {"providers.two.key", "providers.three", "providers.away", "routes.pair.targets"} <= set(changed["changed"])
    fake.clear()
    for model in ("pair", "other", "nick", "mine-model", "a-model-of-three", "two/any"):
        answer = site.ask(model)
        assert (answer.status_code, answer.json()["model"]) == (200, model)
    assert [(call.model, call.headers["authorization"].split("-")[1]) for call in calls(fake)] == [
        ("first", "three"), ("other", "new"), ("nicked", "three"), ("model", "three"), ("a-model-of-three", "three"),
        ("any", "new"),
    ]  # fmt: skip
    assert site.ask("away/any").status_code == 404
    listed = {row["id"] for row in site.owner.get("/v1/models").json()["data"]}
    assert {"pair", "other", "nick", "a-model-of-three"} <= listed


def test_the_keys_of_callers_and_owners_are_replaced(site: Site) -> None:
    assert site.ask("echo", CALLER_KEY).status_code == 401
    site.keys(f"API_KEYS={CALLER_KEY},another-callers-key")
    assert site.reload(SETTINGS)["changed"] == ["auth.keys"]
    assert site.ask("echo", CALLER_KEY).status_code == 200
    assert site.ask("echo", "another-callers-key").status_code == 200
    site.keys("API_KEYS=another-callers-key")
    site.reload(SETTINGS)
    assert site.ask("echo", CALLER_KEY).status_code == 401
    assert site.ask("echo", "another-callers-key").status_code == 200


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("routes:\n  pair: {targets: [tow/first]}\n", "headgate.yaml:2: routes.pair.targets[0] is 'tow/first'"),
        ("providers:\n  x: {base_url: 'ftp://x'}\n", "headgate.yaml:2: providers.x.base_url"),
        ("providers: {x: {kind: compatibel, base_url: 'http://x'}}\n", "there is no kind 'compatibel'"),
        ("routes: [", "not YAML"),
        ("colour: red\n", "headgate.yaml:1: there is no setting 'colour'"),
    ],
)
def test_a_bad_file_changes_nothing(site: Site, settings: str, said: str) -> None:
    before = site.owner.get(ROUTES).json()
    site.write(settings)
    answer = site.owner.post(RELOAD)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "config_error")
    assert said in answer.json()["error"]["message"]
    assert site.ask("pair").headers["x-headgate-model"] == "first"
    assert site.owner.get(ROUTES).json() == before
    assert site.reload(SETTINGS)["changed"] == []


def test_a_file_at_odds_with_what_was_changed_at_run_time_changes_nothing(site: Site) -> None:
    assert site.owner.put(f"{ROUTES}/mine", json={"targets": ["two/m"]}).status_code == 200
    site.write("answer_model: asked\n")
    answer = site.owner.post(RELOAD)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "routes.mine.targets[0]")
    assert site.ask("pair").json()["model"] == "first"
    assert site.owner.delete(f"{ROUTES}/mine").status_code == 200
    assert site.owner.post(RELOAD).status_code == 200
    assert site.ask("pair").status_code == 404


def test_what_was_changed_at_run_time_stays_over_the_new_file(site: Site) -> None:
    site.owner.put(f"{ROUTES}/pair", json={"targets": ["two/second"]})
    site.reload(SETTINGS.replace("[two/first, two/second]", "[two/third]"))
    assert site.ask("pair").headers["x-headgate-model"] == "second"
    site.owner.post(f"{ROUTES}/rollback", json={"version": 0})
    assert site.ask("pair").headers["x-headgate-model"] == "third"


def test_breakers_of_targets_that_stay_keep_their_state(site: Site, fake: FakeUpstream) -> None:
    def states() -> dict[str, Any]:
        rows = site.owner.get("/api/v1/admin/targets").json()["data"]
        return {row["model"]: row["breaker"] for row in rows if row["routes"]}

    fake.fault(Status(500), model="first", times=5)
    for _ in range(5):
        assert site.ask("pair").status_code == 200
    assert states() == {"first": "open", "second": "closed"}
    site.reload(SETTINGS.replace("two/second]", "two/third]"))
    assert states() == {"first": "open", "third": "closed"}


def test_a_credential_that_was_refused_rests_no_longer_when_it_has_another_key(site: Site, fake: FakeUpstream) -> None:
    fake.fault(Status(401), times=2)
    assert site.ask("pair").status_code == 502
    traffic = site.gateway.house.rooms.traffic
    assert traffic.standing(Target("two", "first"))[0] == "resting"
    site.reload(SETTINGS + "aliases: {nick: two/n}\n")
    assert traffic.standing(Target("two", "first"))[0] == "resting"
    site.reload(SETTINGS.replace("sk-two", "sk-good"))
    assert traffic.standing(Target("two", "first"))[0] == "closed"


def test_a_stream_goes_on_when_its_provider_is_gone(site: Site, fake: FakeUpstream) -> None:
    fake.script(Answer(text=" ".join(f"word{number}" for number in range(20)), pacing=Pacing(tokens_per_s=40)))
    body = {"model": "pair", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
    with site.owner.stream("POST", "/v1/chat/completions", json=body) as answer:
        lines = answer.iter_lines()
        next(line for line in lines if "word1" in line)
        site.reload("answer_model: asked\n")
        after = [line for line in lines if line]
    assert any("word19" in line for line in after)
    assert after[-1] == "data: [DONE]"
    assert site.ask("two/first").status_code == 404


def test_a_request_in_flight_may_still_go_to_a_provider_that_is_gone(site: Site, fake: FakeUpstream) -> None:
    """Its first target fails after the reload, and its plan has another one."""
    site.reload(SETTINGS + "timeouts: {first_byte_s: 2}\n")
    fake.fault(Silence(), model="first")
    with ThreadPoolExecutor(1) as other:
        asked = other.submit(site.ask, "pair")
        awaited(lambda: any(call.model == "first" for call in calls(fake)))
        site.reload("answer_model: served\n")
        assert "two" not in site.gateway.house.rooms.gateway.failover.reaches
        answer = asked.result()
    assert (answer.status_code, answer.headers["x-headgate-model"]) == (200, "second")


def test_a_client_is_kept_where_its_transport_is_the_same_and_closed_when_nobody_uses_it(
    site: Site, fake: FakeUpstream, tmp_path: Path
) -> None:
    rooms, roots = site.gateway.house.rooms, tmp_path / "roots.pem"
    roots.touch()
    plain = rooms.clients.of(Transport())
    site.reload(SETTINGS.replace("two: {", f"two: {{ca_file: {roots}, "))
    used = rooms.gateway.failover.reaches["two"].upstream
    assert isinstance(used, Lean)
    assert rooms.clients.of(Transport()) is plain is not used
    fake.script(Answer(text="word " * 1000, pacing=Pacing(tokens_per_s=20)))
    body = {"model": "pair", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
    with site.owner.stream("POST", "/v1/chat/completions", json=body) as answer:
        next(line for line in answer.iter_lines() if "word" in line)
        site.reload(SETTINGS)
        assert not closed(used)
        assert rooms.gateway.failover.reaches["two"].upstream is plain
    awaited(lambda: closed(used))
    assert site.ask("pair").status_code == 200


def closed(client: Lean) -> bool:
    """Whether it refuses calls."""
    try:
        client.pool("GET", "http://127.0.0.1:9/")
    except UpstreamUnreachable:
        return True
    return False


def test_no_request_fails_while_settings_and_routes_change_under_load(site: Site, fake: FakeUpstream) -> None:
    one = SETTINGS + "aliases: {nick: two/n}\n"
    three = '  three: {kind: compatible, base_url: "BASE", key: sk-three}\n'
    other = one.replace("routes:", f"{three}routes:").replace("two/second", "three/fourth").replace("two/n", "three/n")
    site.reload(one)
    over = Event()

    def go_on() -> list[int]:
        statuses = []
        with httpx.Client(base_url=site.gateway.url, timeout=20) as client:
            client.headers["authorization"] = f"Bearer {OWNER_KEY}"
            while not over.is_set():
                for model in ("pair", "nick", "two/any"):
                    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
                    statuses.append(client.post("/v1/chat/completions", json=body).status_code)
        return statuses

    with ThreadPoolExecutor(6) as callers:
        asking = [callers.submit(go_on) for _ in range(6)]
        for number in range(10):
            site.reload(other if number % 2 else one)
            site.owner.put(f"{ROUTES}/pair", json={"targets": [f"two/model-{number}", "two/second"]})
        over.set()
        statuses = [status for each in asking for status in each.result()]
    assert len(statuses) > 60
    assert set(statuses) == {200}


def test_the_list_of_a_provider_that_came_is_learned_and_that_of_one_that_went_is_forgotten(site: Site) -> None:
    def owners() -> set[str]:
        return {row["owned_by"] for row in site.owner.get("/v1/models").json()["data"] if row["id"] != "pair"}

    awaited(lambda: "two" in owners())
    site.reload(SETTINGS.replace("two: {", "three: {").replace("two/", "three/"))
    assert "two" not in owners()
    awaited(lambda: "three" in owners())


def test_a_key_that_came_with_a_reload_is_kept_out_of_the_log(site: Site) -> None:
    site.reload(SETTINGS.replace("sk-two-canary-0123456789", "a-brand-new-secret"))
    assert "a-brand-new-secret" not in site.gateway.house.rooms.redaction("told a-brand-new-secret to nobody")


def test_a_weak_key_closes_the_door_to_networks(site: Site) -> None:
    site.keys("API_KEYS=test-key")
    site.reload(SETTINGS)
    assert type(site.gateway.house.rooms.door).__name__ == "LoopbackOnly"
    assert site.ask("echo", "test-key").status_code == 200
    site.keys("")
    site.reload(SETTINGS)
    assert site.gateway.house.rooms.door is site.gateway.house.rooms.plane
