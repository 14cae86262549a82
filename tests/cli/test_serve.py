"""The server as a process: it starts, answers, and leaves well."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

import httpx

from tests.needs import needs_redis

COMMAND = [sys.executable, "-c", "from headgate.cli import main; main()", "serve"]
START_S = 60.0
KEY = "a-caller-key-for-tests-only"


@contextmanager
def served(home: Path, *words: str, workers: int = 1, **environ: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server whose workers all are ready, and its URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    command = [*COMMAND, "--port", port, "--home", str(home), "--workers", str(workers), *words]
    clean = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "PYTHONPATH")}
    with subprocess.Popen(
        command, cwd=home, env=clean | {"API_KEYS": KEY} | environ, stderr=subprocess.PIPE, text=True
    ) as process:
        watchdog = Timer(START_S, process.kill)
        watchdog.start()
        try:
            assert process.stderr is not None
            said = ""
            while said.count("can call") < workers:
                line = process.stderr.readline()
                assert line, f"it did not start: {said}"
                said += line
            watchdog.cancel()
            yield process, f"http://127.0.0.1:{port}"
        finally:
            watchdog.cancel()
            process.terminate()
            process.communicate(timeout=30)


def finished(process: subprocess.Popen[str]) -> int:
    process.wait(timeout=30)
    return process.returncode


def answer(url: str, model: str = "echo") -> str:
    body = {"model": model, "messages": [{"role": "user", "content": "Hello, gate!"}]}
    with httpx.Client(transport=httpx.HTTPTransport(retries=5), timeout=20) as client:
        done = client.post(f"{url}/v1/chat/completions", json=body, headers={"x-api-key": KEY})
    return str(done.raise_for_status().json()["choices"][0]["message"]["content"])


def test_a_server_without_settings_answers_and_leaves_with_0(tmp_path: Path) -> None:
    with served(tmp_path) as (process, url):
        assert "Hello, gate!" in answer(url)
        assert "server" not in httpx.get(f"{url}/health/live").headers
        process.send_signal(signal.SIGTERM)
        assert finished(process) == 0
    assert (tmp_path / "headgate.db").exists()


def test_workers_share_one_address_and_their_flags(tmp_path: Path) -> None:
    redis = needs_redis()
    (tmp_path / "other.yaml").write_text("aliases: {mine: echo/echo}\n")
    with served(tmp_path, "--config", "other.yaml", workers=2, REDIS_URL=redis) as (process, url):
        assert "Hello, gate!" in answer(url, "mine"), "the workers got --config"
        assert (tmp_path / "headgate.db").exists(), "the workers got --home"
        process.send_signal(signal.SIGTERM)
        assert finished(process) == 0


def test_a_port_that_is_taken_is_a_failure(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = subprocess.run(
            [*COMMAND, "--port", str(taken.getsockname()[1]), "--home", str(tmp_path)],
            cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
    assert done.returncode not in (0, -signal.SIGTERM)
    assert "cannot be listened on" in done.stderr
    assert "Your key" not in done.stderr
