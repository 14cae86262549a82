"""The gateway as a measurement starts it: keys checked, journal, metrics and access log on, three providers."""

from __future__ import annotations

import http.client
import json
import os
import sys
from importlib import metadata
from pathlib import Path
from subprocess import run
from time import perf_counter

from packaging.requirements import Requirement
from servers import SERVER_CORE, NotThere, Server, free_port

KEY = "bench-0123456789abcdef0123456789abcdef"
PASSED = "gpt-4o-mini"
"""Answered whole by nginx."""
STREAMED = "bench-stream"
"""Streamed by the fast upstream, in the caller's own dialect."""
TRANSLATED = "claude-bench"
"""Answered by the fast upstream in Anthropic's dialect."""

COMMAND = [str(Path(sys.executable).with_name("headgate"))]


def start(folder: Path, static: int, streaming: int, settings_file: str = "") -> Server:
    """Starts `headgate serve`. The two numbers are the ports of its providers, the text is its headgate.yaml."""
    home = folder / "home"
    home.mkdir(parents=True)
    (home / "headgate.yaml").write_text(settings_file)
    port = free_port()
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "PYTHONPATH") if name in os.environ}
    settings = {
        "HEADGATE_HOME": str(home),
        "API_KEYS": KEY,
        "OPENAI_API_KEY": "sk-bench",
        "OPENAI_BASE_URL": f"http://127.0.0.1:{static}/v1",
        "ANTHROPIC_API_KEY": "sk-bench",
        "ANTHROPIC_API_BASE": f"http://127.0.0.1:{streaming}",
        "OPENAI_ORGS": json.dumps(["OPENAI", "BENCH"]),
        "BENCH_API_KEY": "sk-bench",
        "BENCH_BASE_URL": f"http://127.0.0.1:{streaming}/v1",
        "BENCH_MODELS": json.dumps([STREAMED]),
    }
    command = [*COMMAND, "serve", "--host", "127.0.0.1", "--port", str(port)]
    return Server(command, port, SERVER_CORE, folder / "output", inherited | settings)


def first_answer_s(server: Server) -> float:
    """Seconds from the spawn to the first whole answer of a provider. Raises `NotThere` where it is not 200."""
    server.wait()
    for model in (PASSED, STREAMED, TRANSLATED):
        status, body = ask(server.port, model)
        if status != 200:
            raise NotThere(f"{model}: {status} {body[:500]!r}")
        if model == PASSED:
            taken = server.age_s()
    return taken


def ask(port: int, model: str) -> tuple[int, bytes]:
    """One chat completion: its status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
    connection.request("POST", "/v1/chat/completions", body(model), headers)
    answer = connection.getresponse()
    status, said = answer.status, answer.read()
    connection.close()
    return status, said


def body(model: str) -> bytes:
    """A request of about 170 bytes."""
    said = "Name the three primary colours, please, in one short sentence and without an explanation."
    return json.dumps({"model": model, "messages": [{"role": "user", "content": said}]}).encode()


def help_s() -> float:
    """The best of three runs of `headgate --help`, in seconds. Raises `NotThere` where it fails."""
    times = []
    for _ in range(3):
        start = perf_counter()
        ended = run([*COMMAND, "--help"], capture_output=True, text=True, check=False)
        times.append(perf_counter() - start)
        if ended.returncode:
            raise NotThere(ended.stderr[-2000:])
    return min(times)


def installed_mb() -> float:
    """The size of headgate and all that its server needs, as installed, in MB."""
    seen: dict[str, int] = {}
    waiting = [Requirement("headgate")]
    while waiting:
        wanted = waiting.pop()
        name = wanted.name.lower().replace("_", "-")
        if name in seen and not wanted.extras:
            continue
        distribution = metadata.distribution(wanted.name)
        seen[name] = sum(_size(Path(str(file.locate()))) for file in distribution.files or ())
        for text in distribution.requires or ():
            needed = Requirement(text)
            extras = wanted.extras or {""}
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(needed)
    return sum(seen.values()) / 1e6


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0
