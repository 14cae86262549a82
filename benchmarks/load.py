"""The two loads: wrk for whole answers, the counting client for streams. Both run on the load's core."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import gateway
import msgspec
from servers import HERE, LOAD_CORE, Server, pin


class Failed(Exception):
    """A load that did not get what it asked for; the message says what it got."""


class Answers(msgspec.Struct):
    """What wrk saw of whole answers. Times in microseconds."""

    requests: int
    seconds: float
    p50_us: int
    p99_us: int
    not_200: int
    broken: int
    cpu_us: float = 0.0
    """CPU time of the server for each request."""

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


class Events(msgspec.Struct):
    """What the counting client saw of streams."""

    events: int
    streams: int
    broken: int
    seconds: float

    @property
    def rate(self) -> float:
        return self.events / self.seconds


def answers(wrk: str, server: Server, connections: int, seconds: int, model: str = gateway.PASSED) -> Answers:
    """Whole answers for some seconds. Raises `Failed` unless every one was 200."""
    address = f"http://127.0.0.1:{server.port}"
    command = [wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(HERE / "post.lua"), address]
    env = {**os.environ, "BENCH_KEY": gateway.KEY, "BENCH_BODY": gateway.body(model).decode()}
    before_us = server.cpu_us()
    said = _run(command, env)
    found = re.search(r"^RESULT (.*)$", said, re.M)
    if found is None:
        raise Failed(said[-2000:])
    seen = msgspec.json.decode(found[1], type=Answers)
    if seen.not_200 or seen.broken or not seen.requests:
        raise Failed(f"{seen.not_200} of {seen.requests} answers were not 200, {seen.broken} connections broke")
    seen.cpu_us = (server.cpu_us() - before_us) / seen.requests
    return seen


def events(
    server: Server, model: str, seconds: float, pieces: int, path: str = "/v1/chat/completions", end: str = "[DONE]"
) -> Events:
    """Streams of `pieces` for some seconds, eight at a time. Raises `Failed` where one broke or had too few events."""
    command = [sys.executable, str(HERE / "stream_client.py"), "--port", str(server.port), "--path", path]
    command += ["--model", model, "--key", gateway.KEY, "--end", end, "--seconds", str(seconds)]
    seen = msgspec.json.decode(_run(command, os.environ), type=Events)
    if seen.broken or not seen.streams:
        raise Failed(f"{seen.broken} streams broke, {seen.streams} were whole")
    if seen.events < seen.streams * pieces:
        raise Failed(f"{seen.events} events in {seen.streams} streams of {pieces} pieces")
    return seen


def _run(command: list[str], env: os._Environ[str] | dict[str, str]) -> str:
    ended = subprocess.run(
        command, capture_output=True, text=True, check=False, env=env, timeout=300, preexec_fn=lambda: pin(LOAD_CORE)
    )
    if ended.returncode:
        raise Failed((ended.stdout + ended.stderr)[-2000:])
    return ended.stdout
