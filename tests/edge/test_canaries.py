"""Every fault at debug level, with secrets that are easy to recognise: none of them turns up where it could be read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from headgate.testing import FakeUpstream
from headgate.testing.faults import FAULTS, Cut, ErrorEvent, Fault, Junk, KeyEcho, Status
from tests.conftest import PROVIDER_KEY, environ_for
from tests.serving import Serving, serving

CALLER = "canary-of-a-caller-0123456789abcdefghijkl"
OWNER = "canary-of-an-owner-0123456789abcdefghijkl"
PROMPT = "canary-of-a-prompt-0123456789abcdefghijkl"
NEVER_ENDS = {"silence", "stall", "drip", "flood", "endless_line", "gzip_bomb", "honest"}
TABLE: list[Fault] = [
    *(fault() for name, fault in FAULTS.items() if name not in NEVER_ENDS),
    *(KeyEcho(status) for status in (400, 401, 403, 404, 429, 500)),
    *(Status(status, message=f"You sent {PROVIDER_KEY}, did you?") for status in (400, 401, 402, 404, 422, 429, 500)),
    *(Status(status, body=f"no JSON, but Bearer {PROVIDER_KEY}") for status in (400, 500)),
    *(Junk(kind) for kind in ("error", "html", "half")),
    ErrorEvent(2, message=f"It was {PROVIDER_KEY}."),
    ErrorEvent(0, message=f"It was {PROVIDER_KEY}."),
    Cut(after_bytes=500),
]


@pytest.fixture
def server(tmp_path: Path, fake: FakeUpstream) -> Iterator[Serving]:
    keys = {"API_KEYS": CALLER, "HEADGATE_ADMIN_KEY": OWNER, "LOG_LEVEL": "debug"}
    with serving(tmp_path, environ_for(fake) | keys) as started:
        yield started


def faults_met(server: Serving, fake: FakeUpstream) -> Iterator[str]:
    """Everything that callers are told while every fault happens."""
    headers = {"authorization": f"Bearer {CALLER}"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=20) as http:
        for fault in TABLE:
            for model, stream in (("gpt-4o", False), ("claude-any", True), ("ollama/llama2", True)):
                fake.clear()
                fake.fault(fault, times=3)
                body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": PROMPT}]}
                answer = http.post("/v1/chat/completions", json=body)
                yield f"{answer.headers}"
                if "error" in answer.text:
                    yield answer.text
        for path in ("/metrics", "/health", "/v1/models", "/openapi.json"):
            yield http.get(path).text
    yield httpx.get(f"{server.url}/api/v1/admin/usage", headers={"x-api-key": OWNER}).text


def kept(home: Path) -> Iterator[tuple[Path, bytes]]:
    for path in home.rglob("*"):
        if path.is_file():
            yield path, path.read_bytes()


def test_no_secret_turns_up_anywhere(server: Serving, fake: FakeUpstream, tmp_path: Path) -> None:
    told = "\n".join(faults_met(server, fake))
    server.terminate()
    assert server.wait() == 0
    assert len(TABLE) > 30
    assert told.count("req_") > 2 * len(TABLE)
    assert server.said.count("upstream") > 20, "the log was on"
    for canary in (PROVIDER_KEY, CALLER, OWNER):
        assert canary not in told
        assert canary not in server.said
        for path, content in kept(tmp_path):
            assert canary.encode() not in content, path
    assert PROMPT not in server.said
    assert all(PROMPT.encode() not in content for _, content in kept(tmp_path)), "nothing keeps what was said"
