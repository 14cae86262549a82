"""Kept answers of several processes that share a Redis, and of one whose Redis dies."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from headgate.testing import FakeUpstream
from headgate.testing.answers import Answer, Pacing
from headgate.testing.gateway import CALLER_KEY, OWNER_KEY, running
from tests.conftest import calls, environ_for
from tests.engine.conftest import KEEPING
from tests.engine.kept import cached, post, question
from tests.needs import needs_redis
from tests.serving import Serving, free_port, kept
from tests.storage.test_bus import Server

KEYS = {"API_KEYS": CALLER_KEY, "HEADGATE_ADMIN_KEY": OWNER_KEY}


PATIENT = """
from headgate.cli import main
from headgate.storage import redis
redis.ANSWER_S = 10.0
main()
"""


@contextmanager
def patient(folder: Path, environ: Mapping[str, str]) -> Iterator[Serving]:
    """`headgate serve` that gives Redis the time that a busy machine needs."""
    port = free_port()
    command = [sys.executable, "-c", PATIENT, "serve", "--port", str(port)]
    with kept(Serving(command, folder, environ, port)) as server:
        server.await_answers()
        yield server


def ask(server: Serving, body: dict[str, Any], **headers: str) -> httpx.Response:
    said = {"authorization": f"Bearer {CALLER_KEY}", **headers}
    return httpx.post(f"{server.url}/v1/chat/completions", json=body, headers=said, timeout=20)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_two_processes_are_one_call_and_one_key(tmp_path: Path, fake: FakeUpstream, stream: bool) -> None:
    homes = [tmp_path / "one", tmp_path / "other"]
    for home in homes:
        home.mkdir()
        (home / "headgate.yaml").write_text(KEEPING)
    environ = environ_for(fake) | KEYS | {"REDIS_URL": needs_redis()}
    fake.script(*[Answer(text="one answer", pacing=Pacing(first_byte_s=1.0))] * 2)
    with patient(homes[0], environ) as one, patient(homes[1], environ) as other, ThreadPoolExecutor(40) as callers:
        body = question(stream=stream)
        answers = list(callers.map(lambda number: ask((one, other)[number % 2], body), range(40)))
        assert len(calls(fake)) == 1
        assert Counter(cached(answer) for answer in answers) == {"hit": 39, "miss": 1}
        assert len({answer.content for answer in answers}) == 1

        body, key = question(stream=stream), {"idempotency-key": body["messages"][0]["content"]}
        answers = list(callers.map(lambda number: ask((one, other)[number % 2], body, **key), range(40)))
        assert len(calls(fake)) == 2
        assert {answer.status_code for answer in answers} <= {200, 409}
        assert {cached(ask(server, body, **key)) for server in (one, other)} == {"hit"}


def test_a_redis_that_dies_fails_nobody(tmp_path: Path, fake: FakeUpstream, caplog: pytest.LogCaptureFixture) -> None:
    redis = Server(tmp_path)
    try:
        with running(tmp_path / "home", environ_for(fake) | {"REDIS_URL": redis.url.reveal()}, KEEPING) as gateway:
            body = question()
            while cached(post(gateway, body)) != "hit":
                pass
            redis.stop()
            caplog.clear()
            bodies = [question() for _ in range(10)]
            assert {cached(post(gateway, body)) for body in bodies} == {"miss"}
            assert {cached(post(gateway, body)) for body in bodies} == {"hit"}
            assert cached(post(gateway, body, idempotency_key="a")) == "miss"
            assert cached(post(gateway, body, idempotency_key="a")) == "hit"
    finally:
        redis.stop()
    said = [line.message for line in caplog.records if "keeps its own answers" in line.message]
    assert len(said) <= 2, "one for the cache, one for the keys"
