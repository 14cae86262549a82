from __future__ import annotations

from headgate.errors import UpstreamAuthFailed, UpstreamRateLimited, UpstreamRefused
from headgate.providers.base import encode
from headgate.providers.openrouter import OpenRouter
from headgate.types import Secret

from .configured import KEY, configured, fields, plain


def test_the_application_is_named_by_the_settings_headers() -> None:
    settings = {"HTTP-Referer": "https://app.test", "X-Title": "App"}
    headers = dict(configured(OpenRouter, headers=settings).headers(Secret(KEY)))
    assert headers[b"http-referer"] == b"https://app.test"
    assert headers[b"x-title"] == b"App"
    assert headers[b"authorization"] == b"Bearer " + KEY.encode()
    assert set(dict(configured(OpenRouter).headers(Secret(KEY)))) == {b"authorization"}


def test_its_own_routing_fields_pass() -> None:
    body = fields(model="a/b", models=["a/b", "c/d"], provider={"order": ["x"]}, transforms=[])
    before = plain(body)
    assert configured(OpenRouter).adjust("chat", "a/b", body) == ()
    assert plain(body) == before


def test_string_prices_per_token_become_numbers_per_thousand() -> None:
    body = encode(
        {
            "data": [
                {
                    "id": "openai/gpt-4o",
                    "name": "OpenAI: GPT-4o",
                    "created": 1715558400,
                    "context_length": 128000,
                    "pricing": {"prompt": "0.0000025", "completion": "0.00001", "image": "0.003613"},
                },
                {"id": "openrouter/auto", "pricing": {"prompt": "-1", "completion": "-1"}},
                {"id": "free/model", "pricing": {"prompt": "0", "completion": 0}},
                {"id": "odd/model", "pricing": {"prompt": "NaN", "completion": "ask us"}},
            ]
        }
    )
    gpt, auto, free, odd = configured(OpenRouter).models(body)
    assert (gpt.prompt_price_per_1k, gpt.completion_price_per_1k) == (0.0025, 0.01)
    assert (gpt.name, gpt.created, gpt.context_length) == ("OpenAI: GPT-4o", 1715558400, 128000)
    assert (auto.prompt_price_per_1k, auto.completion_price_per_1k) == (None, None)
    assert (free.prompt_price_per_1k, free.completion_price_per_1k) == (0.0, 0.0)
    assert (odd.prompt_price_per_1k, odd.completion_price_per_1k) == (None, None)


def test_what_a_model_takes_and_is_able_to_do_is_told() -> None:
    rows: list[dict[str, object]] = [
        {
            "id": "a/full",
            "architecture": {"modality": "text+image->text", "tokenizer": "GPT"},
            "supported_parameters": ["temperature", "reasoning", "tools"],
        },
        {"id": "a/bare"},
        {"id": "a/null", "architecture": None, "supported_parameters": None},
        {"id": "a/hollow", "architecture": {"modality": None}, "supported_parameters": []},
    ]
    full, *others = configured(OpenRouter).models(encode({"data": rows}))
    assert (full.modality, full.abilities) == ("text+image->text", ("tools", "reasoning"))
    assert [(card.modality, card.abilities) for card in others] == [("", ())] * 3


def test_the_words_of_the_service_behind_it_are_told() -> None:
    raw = f"model is overloaded, key {KEY}"
    body = encode(
        {
            "error": {
                "code": 429,
                "message": "Provider returned error",
                "metadata": {"raw": raw, "provider_name": "Acme"},
            }
        }
    )
    error = configured(OpenRouter).failure(429, {}, body)
    assert type(error) is UpstreamRateLimited
    assert error.message == "openrouter: Provider returned error: Acme: model is overloaded, key ****"


def test_a_moderated_request_does_not_put_the_key_in_doubt() -> None:
    flagged = {"reasons": ["violence"], "flagged_input": "…", "provider_name": "Acme"}
    body = encode({"error": {"code": 403, "message": "Input was flagged", "metadata": flagged}})
    error = configured(OpenRouter).failure(403, {}, body)
    assert type(error) is UpstreamRefused
    assert error.code_said == "content_filter"
    assert "violence" in error.message
    plain_refusal = encode({"error": {"code": 403, "message": "no"}})
    assert type(configured(OpenRouter).failure(403, {}, plain_refusal)) is UpstreamAuthFailed


def test_an_account_without_credits_rests() -> None:
    error = configured(OpenRouter).failure(402, {}, b'{"error":{"code":402,"message":"Insufficient credits"}}')
    assert error.code_said == "insufficient_quota"


def test_metadata_of_no_known_shape_is_passed_over() -> None:
    error = configured(OpenRouter).failure(500, {}, b'{"error":{"message":"m","metadata":{"raw":{"a":1}}}}')
    assert error.message == "openrouter: m"
