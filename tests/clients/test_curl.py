"""curl, as READMEs print it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from headgate.testing import FakeUpstream
from headgate.testing.gateway import RunningGateway
from tests.clients.judge import DONE, assert_answer, assert_error, assert_stream, events
from tests.conftest import calls
from tests.needs import needs_binary
from tests.serving import serving

WHOLE = """
curl -X POST "http://localhost:8000/api/v1/chat/completions" \\
     -H "Content-Type: application/json" \\
     -d '{
       "model": "gpt-3.5-turbo",
       "messages": [
         {"role": "user", "content": "Hello!"}
       ]
     }'
"""
STREAMED = """
curl -X POST "http://localhost:8000/api/v1/chat/completions" \\
     -H "Content-Type: application/json" \\
     -N \\
     -d '{
       "model": "deepseek-chat",
       "messages": [
         {"role": "user", "content": "Hello!"}
       ],
       "stream": true
     }'
"""
"""The two examples of seed 004's README, letter by letter."""


def run(command: str, given: bytes = b"") -> bytes:
    """What a command prints. Proxies of the machine are left out: it is this machine that is called."""
    needs_binary("curl")
    environ = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    shell = ["bash", "-c", command]
    return subprocess.run(shell, input=given, env=environ, stdout=subprocess.PIPE, timeout=20, check=True).stdout


def test_the_readme_of_the_llm_gateway_runs_as_printed(open_gateway: RunningGateway, fake: FakeUpstream) -> None:
    body = run(WHOLE.replace("http://localhost:8000", open_gateway.url))
    assert_answer(ChatCompletion, body, "openai")
    assert json.loads(body)["choices"][0]["message"]["content"] == "Hello!"
    assert [entry.dialect for entry in calls(fake)] == ["openai"]


def test_its_streaming_example_too(open_gateway: RunningGateway, fake: FakeUpstream) -> None:
    body = run(STREAMED.replace("http://localhost:8000", open_gateway.url))
    assert_stream(ChatCompletionChunk, body, "deepseek")
    *chunks, last = events(body)
    assert "".join(json.loads(chunk)["choices"][0]["delta"].get("content") or "" for chunk in chunks) == "Hello!"
    assert last == DONE
    assert [entry.dialect for entry in calls(fake)] == ["deepseek"]


@pytest.mark.parametrize("header", ["Authorization: Bearer {}", "authorization: bearer {}", "X-Api-Key: {}"])
def test_a_key_is_taken_in_every_carrier(gateway: RunningGateway, header: str) -> None:
    ask = b'{"model": "echo", "messages": [{"role": "user", "content": "Hi"}]}'
    body = run(f"curl -s {gateway.url}/v1/chat/completions -H '{header.format(gateway.key)}' -d @-", ask)
    assert_answer(ChatCompletion, body, "echo")


def test_a_request_without_a_key_is_told_so(gateway: RunningGateway) -> None:
    said = run(f"curl -si {gateway.url}/v1/models")
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 401 ")
    assert b"www-authenticate: Bearer" in head
    assert_error(body)


def test_an_expect_header_does_not_stop_an_upload(gateway: RunningGateway) -> None:
    ask = {"model": "echo", "messages": [{"role": "user", "content": "x" * 200_000}]}
    command = f"curl -s {gateway.url}/v1/chat/completions -H 'X-Api-Key: {gateway.key}' -H 'Expect: 100-continue' -d @-"
    body = run(command, json.dumps(ask).encode())
    assert json.loads(body)["choices"][0]["message"]["content"] == "x" * 200_000


def test_the_first_key_and_its_curl_work_as_printed(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        printed = re.search(r"^ +(curl .*?\}')$", server.said, re.M | re.S)
        assert printed is not None, server.said
        body = run(printed[1])
        assert_answer(ChatCompletion, body, "echo")
        assert json.loads(body)["choices"][0]["message"]["content"] == "Hello, gate!"
        server.terminate()
        assert server.wait() == 0
    (key,) = set(re.findall(r"hg-[\w-]{43}", server.said))
    assert server.said.count(key) == 2, "it stands in the sentence and in the command, and nowhere else"


def test_the_second_start_makes_no_key(tmp_path: Path) -> None:
    for _ in range(2):
        with serving(tmp_path) as server:
            pass
    assert "hg-" not in server.said
