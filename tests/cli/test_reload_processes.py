"""Settings and routes that change while servers run, in one process and in several."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from time import monotonic

import httpx
import pytest

from headgate.testing.gateway import CALLER_KEY, OWNER_KEY
from tests.needs import needs_redis
from tests.serving import BIN, Serving, free_port, kept, serving

KEYS = {"API_KEYS": CALLER_KEY, "HEADGATE_ADMIN_KEY": OWNER_KEY}
OWNER = {"authorization": f"Bearer {OWNER_KEY}"}
BEFORE, AFTER = "routes: {mine: {targets: [echo/before]}}\n", "routes: {mine: {targets: [echo/after]}}\n"
BROKEN = "\nroutes: {mine: {targets: [ehco/x]}}\n"
FOLLOWED_S = 10.0
"""How late a change may be followed everywhere, on a machine that has other things to do."""


def write(folder: Path, settings: str) -> None:
    (folder / "headgate.yaml").write_text(settings)


def ask(server: Serving, model: str = "mine") -> httpx.Response:
    """One chat on a connection of its own."""
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
    return httpx.post(f"{server.url}/v1/chat/completions", json=body, headers=OWNER, timeout=20)


def served_by(server: Serving, model: str = "mine") -> dict[str, str]:
    """What each of two workers serves a name with: worker → model, or status where it is none."""
    found: dict[str, str] = {}
    until = monotonic() + FOLLOWED_S
    with ThreadPoolExecutor(16) as callers:
        while len(found) < 2:
            assert monotonic() < until, "one worker serves them all"
            for answer in callers.map(lambda _: ask(server, model), range(16)):
                worker = answer.headers["x-request-id"][:20]
                found[worker] = answer.headers.get("x-headgate-model", str(answer.status_code))
    return found


def await_everywhere(server: Serving, wanted: str, model: str = "mine") -> dict[str, str]:
    """Until both workers serve a name with this."""
    until = monotonic() + FOLLOWED_S
    while set((found := served_by(server, model)).values()) != {wanted}:
        assert monotonic() < until, f"they serve {found}"
    return found


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Serving]:
    """Two workers under one parent."""
    write(tmp_path, BEFORE)
    with serving(tmp_path, KEYS | {"REDIS_URL": needs_redis()}, "--workers", "2") as server:
        server.await_said("can call", times=2)
        yield server


@contextmanager
def under_load(server: Serving) -> Iterator[list[int]]:
    """Statuses of requests, one after another by each of four callers, as long as the scope lasts."""
    statuses: list[int] = []
    over = Event()

    def go_on() -> None:
        while not over.is_set():
            statuses.append(ask(server).status_code)

    with ThreadPoolExecutor(4) as callers:
        asking = [callers.submit(go_on) for _ in range(4)]
        try:
            yield statuses
        finally:
            over.set()
    for each in asking:
        each.result()


def test_sighup_makes_it_read_its_settings_again_and_a_broken_file_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path, BEFORE)
    with serving(tmp_path, KEYS) as server:
        assert ask(server).headers["x-headgate-model"] == "before"
        write(tmp_path, AFTER + "server: {idle_s: 3}\n")
        with under_load(server) as statuses:
            server.hang_up()
            server.await_said("read again")
            write(tmp_path, BROKEN)
            server.hang_up()
            server.await_said("nothing is changed")
        assert set(statuses) == {200}
        assert ask(server).headers["x-headgate-model"] == "after"
        server.terminate()
        assert server.wait() == 0
    said = [json.loads(line) for line in server.said.splitlines() if '"logger"' in line]
    (changed,) = [line["msg"] for line in said if "read again" in line["msg"]]
    assert changed.endswith("changed: routes.mine.targets")
    (restart,) = [line["msg"] for line in said if "needs a restart" in line["msg"]]
    assert restart.endswith("server.idle_s")
    (error,) = [line["msg"] for line in said if line["level"] == "error"]
    assert "headgate.yaml:2: routes.mine.targets[0] is 'ehco/x'" in error
    assert "Did you mean echo?" in error


def test_a_server_that_uvicorn_started_hears_sighup_too(tmp_path: Path) -> None:
    write(tmp_path, BEFORE)
    port = free_port()
    with kept(Serving([str(BIN / "uvicorn"), "headgate:app", "--port", str(port)], tmp_path, KEYS, port)) as server:
        server.await_answers()
        write(tmp_path, AFTER)
        server.hang_up()
        server.await_said("read again")
        assert ask(server).headers["x-headgate-model"] == "after"


def test_a_route_that_is_put_in_one_worker_is_followed_by_the_other(two: Serving) -> None:
    for number in range(3):
        route = {"targets": [f"echo/put-{number}"]}
        httpx.put(f"{two.url}/api/v1/admin/routes/mine", json=route, headers=OWNER).raise_for_status()
        await_everywhere(two, f"put-{number}")
    back = httpx.post(f"{two.url}/api/v1/admin/routes/rollback", json={"version": 1}, headers=OWNER)
    assert back.raise_for_status().json() == {"version": 4}
    await_everywhere(two, "put-0")


def test_routes_that_are_put_in_both_workers_at_once_are_all_kept(two: Serving) -> None:
    def put(number: int) -> int:
        url = f"{two.url}/api/v1/admin/routes/r{number}"
        answer = httpx.put(url, json={"targets": ["echo/m"]}, headers=OWNER, timeout=30)
        version: int = answer.raise_for_status().json()["version"]
        return version

    with ThreadPoolExecutor(8) as owners:
        assert sorted(owners.map(put, range(16))) == list(range(1, 17))
    await_everywhere(two, "m", "r0")
    found = httpx.get(f"{two.url}/api/v1/admin/routes", headers=OWNER).json()
    assert {row["name"] for row in found["data"]} == {"mine", *(f"r{number}" for number in range(16))}


def test_sighup_reaches_every_worker_and_starts_none_anew(two: Serving, tmp_path: Path) -> None:
    workers = set(served_by(two))
    write(tmp_path, AFTER)
    with under_load(two) as statuses:
        two.hang_up()
        two.await_said("read again", times=2)
    assert set(statuses) == {200}
    assert set(await_everywhere(two, "after")) == workers
    write(tmp_path, BROKEN)
    two.hang_up()
    two.await_said("nothing is changed", times=2)
    assert set(await_everywhere(two, "after")) == workers


def test_the_reload_of_one_worker_is_followed_by_the_other(two: Serving, tmp_path: Path) -> None:
    write(tmp_path, AFTER)
    answer = httpx.post(f"{two.url}/api/v1/admin/reload", headers=OWNER, timeout=20)
    assert answer.raise_for_status().json() == {"changed": ["routes.mine.targets"], "needs_restart": []}
    await_everywhere(two, "after")
    two.await_said("read again", times=2)
    write(tmp_path, BROKEN)
    answer = httpx.post(f"{two.url}/api/v1/admin/reload", headers=OWNER, timeout=20)
    assert answer.status_code == 400
    assert "headgate.yaml:2" in answer.json()["message"]
    await_everywhere(two, "after")
