from __future__ import annotations

import pytest

from headgate.errors import UpstreamFailed, UpstreamProtocolError, UpstreamRefused
from headgate.providers.ollama import Ollama
from headgate.types import Secret

from .configured import KEY, configured

UNKNOWN = [
    b'{"error":"model \'llama2\' not found"}',
    b'{"error":"model \\"llama2\\" not found, try pulling it first"}',
    b'{"error":{"message":"model \\"llama2\\" not found, try pulling it first","type":"api_error"}}',
    b'{"error":"model llama2 not found"}',
]


@pytest.mark.parametrize("body", UNKNOWN)
def test_an_unknown_model_is_a_404_that_says_how_to_pull_it(body: bytes) -> None:
    error = configured(Ollama).failure(404, {}, body)
    assert type(error) is UpstreamRefused
    assert (error.status_said, error.code_said, error.param) == (404, "model_not_found", "model")
    assert "`ollama pull llama2`" in error.message


def test_another_404_is_told_as_it_is() -> None:
    error = configured(Ollama).failure(404, {}, b"404 page not found")
    assert error.message == "ollama answered 404"
    assert type(configured(Ollama).failure(500, {}, UNKNOWN[0])) is UpstreamFailed


def test_tags_are_models_with_and_without_latest() -> None:
    body = (
        b'{"models":[{"name":"llama2:latest","model":"llama2:latest","modified_at":"2023-11-04T14:56:49.277302595-07:00",'
        b'"size":7365960935,"details":{}},{"name":"qwen3:0.6b","modified_at":"?"}]}'
    )
    cards = configured(Ollama).models(body)
    assert [card.id for card in cards] == ["llama2", "llama2:latest", "qwen3:0.6b"]
    assert [card.created for card in cards] == [1699135009, 1699135009, 0]
    with pytest.raises(UpstreamProtocolError):
        configured(Ollama).models(b'{"data":[]}')


def test_it_needs_no_key_and_takes_one() -> None:
    ollama = configured(Ollama)
    ollama.require(None)
    assert ollama.headers(None) == []
    assert ollama.headers(Secret(KEY)) == [(b"authorization", b"Bearer " + KEY.encode())]


@pytest.mark.parametrize(
    "base", ["http://gpu:11434", "http://gpu:11434/", "http://gpu:11434/v1", "http://gpu:11434/v1/"]
)
def test_both_its_interfaces_are_reached_from_one_address(base: str) -> None:
    ollama = configured(Ollama, base_url=base)
    assert ollama.url("chat", "m") == "http://gpu:11434/v1/chat/completions"
    assert ollama.url("ollama", "m") == "http://gpu:11434/api/chat"
    assert ollama.url("ollama_embed", "m") == "http://gpu:11434/api/embed"
    assert ollama.models_url == "http://gpu:11434/api/tags"
