from __future__ import annotations

import pytest

from headgate.errors import UpstreamAuthFailed, UpstreamRefused
from headgate.providers.openai import OpenAI

from .configured import KEY, configured, fields, plain

SAMPLING = {
    "temperature": 0.2,
    "top_p": 0.9,
    "logprobs": True,
    "top_logprobs": 2,
    "presence_penalty": 1,
    "frequency_penalty": 1,
    "logit_bias": {"5": 1},
}


@pytest.mark.parametrize(
    "model", ["o1", "o3-mini", "o4-mini-2025-04-16", "gpt-5", "gpt-5-nano", "gpt-5.5", "ft:o4-mini:x", "gpt-6"]
)
def test_a_reasoning_model_gets_max_completion_tokens_and_no_sampling_settings(model: str) -> None:
    body = fields(model=model, max_tokens=9, seed=4, **SAMPLING)
    assert set(configured(OpenAI).adjust("chat", model, body)) == set(SAMPLING)
    assert plain(body) == {"model": model, "max_completion_tokens": 9, "seed": 4}


@pytest.mark.parametrize(
    "model", ["gpt-4o", "gpt-4.1-mini", "gpt-3.5-turbo", "gpt-5-chat-latest", "chatgpt-4o-latest", "ft:gpt-4o:x"]
)
def test_other_models_are_sent_as_they_came(model: str) -> None:
    body = fields(model=model, max_tokens=9, **SAMPLING)
    before = dict(body)
    assert configured(OpenAI).adjust("chat", model, body) == ()
    assert body == before


def test_max_completion_tokens_of_the_caller_wins() -> None:
    body = fields(max_tokens=9, max_completion_tokens=5)
    configured(OpenAI).adjust("chat", "o3", body)
    assert plain(body) == {"max_completion_tokens": 5}


@pytest.mark.parametrize(
    ("model", "effort"), [("gpt-5.1", None), ("gpt-5.2-2025-12-11", None), ("gpt-5.4", "none"), ("gpt-5.1", "none")]
)
def test_a_model_that_does_not_think_now_keeps_temperature(model: str, effort: str | None) -> None:
    body = fields(temperature=0.2, presence_penalty=1, reasoning_effort=effort)
    assert configured(OpenAI).adjust("chat", model, body) == ("presence_penalty",)
    assert "temperature" in body


@pytest.mark.parametrize(("model", "effort"), [("gpt-5.1", "low"), ("gpt-5.1-codex", None), ("gpt-5", None)])
def test_a_model_that_thinks_loses_temperature(model: str, effort: str | None) -> None:
    body = fields(temperature=0.2, reasoning_effort=effort)
    assert configured(OpenAI).adjust("chat", model, body) == ("temperature",)


def test_embeddings_are_left_alone() -> None:
    body = fields(model="o1", temperature=1)
    assert configured(OpenAI).adjust("embeddings", "o1", body) == ()


def test_insufficient_quota_rests_the_account() -> None:
    body = b'{"error":{"message":"You exceeded your quota","type":"insufficient_quota","code":"insufficient_quota"}}'
    assert configured(OpenAI).failure(429, {}, body).code_said == "insufficient_quota"
    limited = b'{"error":{"message":"Rate limit reached","type":"requests","code":"rate_limit_exceeded"}}'
    assert configured(OpenAI).failure(429, {}, limited).code_said == "rate_limit_exceeded"


def test_a_model_that_the_project_may_not_use_does_not_put_the_key_in_doubt() -> None:
    body = b'{"error":{"message":"Project `p` has no access to model `m` %s","code":"model_not_found"}}' % KEY.encode()
    error = configured(OpenAI).failure(403, {}, body)
    assert type(error) is UpstreamRefused
    assert (error.status_said, error.code_said) == (403, "model_not_found")
    assert KEY not in error.message
    assert type(configured(OpenAI).failure(403, {}, b"{}")) is UpstreamAuthFailed
