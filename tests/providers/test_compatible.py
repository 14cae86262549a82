from __future__ import annotations

import pytest

from headgate.errors import ProviderNotConfigured
from headgate.providers.base import Provider
from headgate.providers.compatible import PROVIDERS, ROWS, Compatible, Row
from headgate.types import Secret

from .configured import KEY, configured, fields, plain

LISTED = {cls.name: cls for cls in PROVIDERS}


def test_any_address_makes_a_provider() -> None:
    mine = configured(Compatible, name="mine", base_url="http://gpu:8000/v1", key=None)
    mine.require(None)
    assert mine.wires == ("chat", "completions", "embeddings")
    assert mine.url("chat", "m") == "http://gpu:8000/v1/chat/completions"


def test_a_key_is_needed_where_the_settings_name_a_variable_for_it() -> None:
    with pytest.raises(ProviderNotConfigured, match="QWEN_API_KEY"):
        configured(Compatible, name="qwen", base_url="http://q/v1", key_env="QWEN_API_KEY").require(None)


def test_an_address_is_needed() -> None:
    with pytest.raises(ProviderNotConfigured, match="has no address"):
        configured(Compatible).require(Secret(KEY))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_is_a_service_with_an_address_and_variables_of_its_own(row: Row) -> None:
    cls = LISTED[row.name]
    assert issubclass(cls, Compatible)
    assert cls.key_env == (f"{row.name.upper()}_API_KEY",)
    assert cls.base_env == (f"{row.name.upper()}_BASE_URL",)
    assert cls.key_needed is not row.local
    assert cls.base_url.startswith("http://localhost:" if row.local else "https://") or row.name == "vllm"
    assert "chat" in cls.paths


def test_rows_are_in_order_and_named_once() -> None:
    names = [row.name for row in ROWS]
    assert names == sorted(set(names))


def test_mistral_is_spared_what_it_refuses() -> None:
    body = fields(
        model="m", max_completion_tokens=5, seed=1, user="u", stream_options={"include_usage": True}, stream=True
    )
    assert set(configured(LISTED["mistral"]).adjust("chat", "m", body)) == {"user", "stream_options"}
    assert plain(body) == {"model": "m", "max_tokens": 5, "random_seed": 1, "stream": True}


def test_groq_is_spared_what_it_refuses() -> None:
    body = fields(model="m", logprobs=True, temperature=0.5)
    assert configured(LISTED["groq"]).adjust("chat", "m", body) == ("logprobs",)


def test_a_service_without_a_model_list_says_none() -> None:
    perplexity: Provider = configured(LISTED["perplexity"])
    assert perplexity.models_url == ""


@pytest.mark.parametrize("status", [401, 403])
def test_a_service_that_asks_for_a_key_which_nobody_set_is_told_so(status: int) -> None:
    keyless = configured(Compatible, name="mine", base_url="http://h/v1", key=None)
    assert keyless.failure(status, {}, b"").message == (
        "mine asks for a key, and the gateway has none for it: set it in headgate.yaml"
    )
    keyed = configured(Compatible, name="mine", base_url="http://h/v1")
    by_header = configured(Compatible, name="mine", base_url="http://h/v1", key=None, headers={"x-key": "1"})
    for provider in (keyed, by_header):
        assert provider.failure(status, {}, b"").message == "mine refused the gateway's credential"
