from __future__ import annotations

import pytest

from headgate.errors import ModelNotFound, UpstreamFailed
from headgate.providers.huggingface import HuggingFace

from .configured import configured


def test_a_loading_model_says_when_to_come_back() -> None:
    body = b'{"error":"Model org/name is currently loading","estimated_time":42.5}'
    error = configured(HuggingFace).failure(503, {}, body)
    assert type(error) is UpstreamFailed
    assert (error.retry_after_s, error.status_said) == (42.5, 503)
    assert error.message == "huggingface: Model org/name is currently loading"


def test_a_header_wins_over_the_estimate_and_no_estimate_is_no_wait() -> None:
    body = b'{"error":"loading","estimated_time":42.5}'
    assert configured(HuggingFace).failure(503, {b"retry-after": b"7"}, body).retry_after_s == 7
    for unsaid in (b'{"error":"down"}', b"<html>", b'{"estimated_time":"long"}', b""):
        assert configured(HuggingFace).failure(503, {}, unsaid).retry_after_s is None


def test_an_estimate_counts_only_for_503() -> None:
    assert configured(HuggingFace).failure(500, {}, b'{"error":"x","estimated_time":9}').retry_after_s is None


def test_vectors_come_from_the_models_own_path_without_the_choice_of_provider() -> None:
    hub = configured(HuggingFace)
    wanted = "https://router.huggingface.co/hf-inference/models/BAAI/bge-small/pipeline/feature-extraction"
    assert hub.url("features", "BAAI/bge-small") == wanted
    assert hub.url("features", "BAAI/bge-small:hf-inference") == wanted
    with pytest.raises(ModelNotFound):
        hub.url("features", "../../v1/chat/completions")


@pytest.mark.parametrize("base", ["", "https://router.huggingface.co/v1", "https://router.huggingface.co/"])
def test_the_address_may_be_given_with_or_without_its_version(base: str) -> None:
    hub = configured(HuggingFace, base_url=base)
    assert hub.url("chat", "org/name:fastest") == "https://router.huggingface.co/v1/chat/completions"
    assert hub.models_url == "https://router.huggingface.co/v1/models"


def test_its_list_of_models_is_read() -> None:
    body = b'{"object":"list","data":[{"id":"org/name","created":1,"providers":[{"provider":"x","status":"live"}]}]}'
    assert [card.id for card in configured(HuggingFace).models(body)] == ["org/name"]
