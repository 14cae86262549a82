"""The server as real processes: drained, killed, several at once."""

from __future__ import annotations

import json
import socket
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest

from headgate.testing import FakeUpstream
from headgate.testing.answers import Answer, Pacing
from headgate.testing.gateway import CALLER_KEY, OWNER_KEY
from tests.conftest import calls, environ_for
from tests.needs import needs_redis
from tests.serving import BIN, Serving, free_port, kept, serving

KEYS = {"API_KEYS": CALLER_KEY, "HEADGATE_ADMIN_KEY": OWNER_KEY}
NOTICED_S = 5.0
"""How late a revoked key may be refused everywhere."""


def ask(server: Serving, model: str = "echo", key: str = CALLER_KEY) -> httpx.Response:
    """One chat on a connection of its own."""
    body = {"model": model, "messages": [{"role": "user", "content": "one two three"}]}
    headers = {"authorization": f"Bearer {key}"}
    return httpx.post(f"{server.url}/v1/chat/completions", json=body, headers=headers, timeout=20)


def run(folder: Path, *words: str) -> str:
    """What `headgate …` prints in the folder of a server."""
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(folder)}
    done = subprocess.run(
        [str(BIN / "headgate"), *words], cwd=folder, env=environ, capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout


def rows(server: Serving) -> list[dict[str, Any]]:
    headers = {"authorization": f"Bearer {OWNER_KEY}"}
    answer = httpx.get(f"{server.url}/api/v1/admin/usage", params={"limit": 1000}, headers=headers)
    found: list[dict[str, Any]] = answer.raise_for_status().json()["data"]
    return found


def test_an_open_stream_finishes_after_sigterm(tmp_path: Path, fake: FakeUpstream) -> None:
    words = " ".join(f"word{number}" for number in range(30))
    fake.script(Answer(text=words, pacing=Pacing(tokens_per_s=40)))
    body = {"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
    headers = {"authorization": f"Bearer {CALLER_KEY}"}
    with serving(tmp_path, environ_for(fake) | KEYS) as server:
        with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=body, headers=headers) as answer:
            lines = answer.iter_lines()
            before = next(line for line in lines if "word3" in line)
            server.terminate()
            after = list(lines)
        assert server.wait() == 0
    assert "word29" not in before
    assert any("word29" in line for line in after)
    assert [line for line in after if line][-1] == "data: [DONE]"
    (row,) = json.loads(run(tmp_path, "usage", "--format", "json"))
    assert (row["status"], row["completion"], row["error"]) == (200, 30, "")


def test_after_sigterm_it_is_not_ready_but_still_serves(tmp_path: Path) -> None:
    (tmp_path / "headgate.yaml").write_text("server: {grace_s: 5}\n")
    with serving(tmp_path, KEYS) as server:
        assert httpx.get(f"{server.url}/health/ready").status_code == 200
        server.terminate()
        server.await_said("asked to stop")
        ready = httpx.get(f"{server.url}/health/ready")
        answered = ask(server)
        server.terminate()
        assert server.wait() == 0
    assert (ready.status_code, ready.json()["status"]) == (503, "draining")
    assert (answered.status_code, answered.headers["connection"]) == (200, "close")


def test_a_request_that_has_begun_is_answered_after_sigterm(tmp_path: Path) -> None:
    (tmp_path / "headgate.yaml").write_text("server: {grace_s: 0.01}\n")
    with serving(tmp_path, KEYS) as server:
        port = int(server.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
            client.sendall(b"GET /health/live HTTP/1.1\r\n")
            server.await_answers()
            server.terminate()
            server.await_refusal()
            client.sendall(b"host: x\r\n\r\n")
            answer = client.makefile("rb").read()
        assert server.wait() == 0
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in answer


def test_a_stream_that_is_open_when_the_drain_time_ends_says_so(tmp_path: Path, fake: FakeUpstream) -> None:
    fake.script(Answer(text="word " * 1000, pacing=Pacing(tokens_per_s=20)))
    (tmp_path / "headgate.yaml").write_text("server: {grace_s: 0.01, drain_s: 1}\n")
    body = {"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
    headers = {"authorization": f"Bearer {CALLER_KEY}"}
    with serving(tmp_path, environ_for(fake) | KEYS) as server:
        with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=body, headers=headers) as answer:
            lines = answer.iter_lines()
            next(line for line in lines if "word" in line)
            server.terminate()
            after = [line for line in lines if line]
        assert server.wait() == 0
    assert json.loads(after[-1].removeprefix("data: "))["error"]["code"] == "interrupted"
    (row,) = json.loads(run(tmp_path, "usage", "--format", "json"))
    assert (row["status"], row["error"]) == (503, "interrupted")
    assert row["completion"] > 0


def test_sigkill_under_load_loses_no_request_and_doubles_none(
    tmp_path: Path, fake: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake, "pacing", Pacing(first_byte_s=0.25))
    environ = environ_for(fake) | KEYS
    numbers = count()

    def go_on(server: Serving) -> None:
        with suppress(httpx.TransportError):
            while True:
                ask(server, f"openai/load-{next(numbers)}")

    with serving(tmp_path, environ) as server, ThreadPoolExecutor(8) as callers:
        for _ in range(8):
            callers.submit(go_on, server)
        while len(calls(fake)) < 100:
            fake.journal.block(len(fake.journal) + 1)
        server.kill()
    received = {call.model for call in calls(fake)}
    with serving(tmp_path, environ) as server:
        found = rows(server)
        answered = ask(server)
    assert answered.status_code == 200
    written = Counter(row["model_served"] for row in found)
    assert received <= set(written), "every request that reached the provider has its row"
    assert set(written.values()) == {1}, "and none has two"
    assert {(row["status"], row["error"]) for row in found} == {(200, ""), (0, "interrupted")}


def test_uvicorn_serves_the_application_by_its_name(tmp_path: Path) -> None:
    port = free_port()
    command = [str(BIN / "uvicorn"), "headgate:app", "--port", str(port)]
    with kept(Serving(command, tmp_path, KEYS, port)) as server:
        server.await_answers()
        assert ask(server).json()["choices"][0]["message"]["content"] == "one two three"
        assert [row["model"] for row in rows(server)] == ["echo"]
    assert (tmp_path / ".headgate").is_dir()


def test_a_key_that_is_revoked_is_refused_by_every_worker(tmp_path: Path) -> None:
    with serving(tmp_path, KEYS | {"REDIS_URL": needs_redis()}, "--workers", "2") as server:
        key = run(tmp_path, "keys", "create", "--name", "soon-gone").strip()
        assert answers_of_all_workers(server, key, within_s=20.0) == {200}
        (row,) = json.loads(run(tmp_path, "keys", "list", "--format", "json"))
        run(tmp_path, "keys", "revoke", row["id"])
        revoked = monotonic()
        while answers_of_all_workers(server, key, within_s=NOTICED_S) != {401}:
            assert monotonic() - revoked < NOTICED_S
        server.terminate()
        assert server.wait() == 0


def answers_of_all_workers(server: Serving, key: str, within_s: float) -> set[int]:
    """The statuses of some requests at once, of which each of two workers has served one at least."""
    until = monotonic() + within_s
    with ThreadPoolExecutor(16) as callers:
        while True:
            answers = list(callers.map(lambda _: ask(server, key=key), range(16)))
            if len({answer.headers["x-request-id"][:20] for answer in answers}) == 2:
                return {answer.status_code for answer in answers}
            assert monotonic() < until, "one worker serves them all"


def test_several_workers_without_redis_are_refused_in_one_sentence(tmp_path: Path) -> None:
    command = [str(BIN / "headgate"), "serve", "--workers", "2", "--port", str(free_port())]
    server = Serving(command, tmp_path, {}, 0)
    assert server.wait() == 2
    assert len(server.said.splitlines()) == 1
    assert server.said.startswith("headgate: ")
    assert "Redis" in server.said
