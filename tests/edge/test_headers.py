"""The headers of an answer tell the truth about it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from time import sleep

import httpx
import pytest

from headgate.testing import FakeUpstream
from headgate.testing.answers import Answer, Pacing
from headgate.testing.gateway import RunningGateway
from headgate.types import Usage
from tests.usage import row_of

HELLO = [{"role": "user", "content": "Hello there"}]
SERVED = {
    "fast": ("gpt-4o-mini", "openai"),
    "openai/gpt-4o": ("gpt-4o", "openai"),
    "anthropic-claude-sonnet-4-5": ("claude-sonnet-4-5", "anthropic"),
    "openrouter/openai/gpt-4o": ("openai/gpt-4o", "openrouter"),
    "llama2": ("llama2", "ollama"),
}


def ask(http: httpx.Client, model: str, **more: object) -> httpx.Response:
    answer = http.post("/v1/chat/completions", json={"model": model, "messages": HELLO, **more})
    assert answer.status_code == 200, answer.text
    return answer


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("asked", "served"), SERVED.items())
def test_the_model_and_the_provider_that_served_are_said(
    http: httpx.Client, asked: str, served: tuple[str, str], stream: bool
) -> None:
    said = ask(http, asked, stream=stream).headers
    assert (said["x-headgate-model"], said["x-headgate-provider"]) == served
    assert said["x-headgate-attempts"] == "1"
    assert said["x-headgate-cache"] == "off"
    assert re.fullmatch(r"req_[0-9a-f]+", said["x-request-id"])


def test_every_answer_has_an_id_of_its_own(http: httpx.Client) -> None:
    assert len({ask(http, "echo").headers["x-request-id"] for _ in range(20)}) == 20


def test_processing_time_is_the_whole_and_overhead_is_ours(http: httpx.Client, fake: FakeUpstream) -> None:
    fake.script(Answer(text="slow", pacing=Pacing(first_byte_s=0.2)))
    said = ask(http, "gpt-4o").headers
    assert 200 <= int(said["openai-processing-ms"]) < 2_000
    assert 0 < float(said["x-headgate-overhead-ms"]) < 200


def test_waiting_for_a_slow_body_is_not_overhead(http: httpx.Client) -> None:
    def slowly() -> Iterator[bytes]:
        yield b'{"model": "echo", '
        sleep(0.5)
        yield b'"messages": [{"role": "user", "content": "Hello"}]}'

    said = http.post("/v1/chat/completions", content=slowly()).headers
    assert int(said["openai-processing-ms"]) - float(said["x-headgate-overhead-ms"]) > 50


@pytest.mark.parametrize(
    ("model", "field", "named"),
    [
        ("claude-sonnet-4-5", {"frequency_penalty": 1.0}, "frequency_penalty"),
        ("claude-sonnet-4-5", {"logit_bias": {"50256": -100}}, "logit_bias"),
        ("o3", {"temperature": 0.2}, "temperature"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_settings_that_a_target_cannot_be_given_are_named(
    http: httpx.Client, model: str, field: dict[str, object], named: str, stream: bool
) -> None:
    assert named in ask(http, model, stream=stream, **field).headers["x-headgate-dropped"].split(",")
    assert "x-headgate-dropped" not in ask(http, model, stream=stream).headers


def test_the_price_that_the_provider_told_is_said_and_kept(
    http: httpx.Client, gateway: RunningGateway, fake: FakeUpstream
) -> None:
    fake.script(Answer(text="one two", usage=Usage(prompt=10, completion=2, cost_nano=123_456_789)))
    answer = ask(http, "openrouter/openai/gpt-4o")
    assert answer.headers["x-headgate-cost"] == "0.123456789"
    assert answer.json()["usage"]["cost"] == 0.123456789
    assert row_of(gateway, answer.headers["x-request-id"])["cost_usd"] == 0.123456789


def test_a_price_that_nobody_told_is_not_said(http: httpx.Client, gateway: RunningGateway) -> None:
    answer = ask(http, "gpt-4o")
    assert "x-headgate-cost" not in answer.headers
    assert row_of(gateway, answer.headers["x-request-id"])["cost_usd"] is None


def test_a_stream_is_not_to_be_kept_or_held_back(http: httpx.Client) -> None:
    said = ask(http, "gpt-4o", stream=True).headers
    assert said["content-type"].startswith("text/event-stream")
    assert said["cache-control"] == "no-cache"
    assert said["x-accel-buffering"] == "no"


def test_nothing_of_the_provider_comes_through(http: httpx.Client) -> None:
    said = ask(http, "gpt-4o").headers
    assert "openai-version" not in said
    assert "server" not in said
    assert not said["x-request-id"].startswith("req_fake")


def test_a_model_name_that_no_header_can_hold_is_encoded(http: httpx.Client) -> None:
    assert ask(http, "echo/grüße 🌳").headers["x-headgate-model"] == "gr%C3%BC%C3%9Fe %F0%9F%8C%B3"
