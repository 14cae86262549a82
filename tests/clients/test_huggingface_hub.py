"""HuggingFace's own client in front of the whole gateway."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest
from huggingface_hub import InferenceClient, set_client_factory
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import _http

from headgate.testing.gateway import RunningGateway
from tests.clients.judge import Passed, Watching

MODELS = ["meta-llama/Llama-3.1-8B-Instruct", "claude-sonnet-4-5", "gpt-4o", "llama2"]
HELLO = [{"role": "user", "content": "Say hello to every gate"}]


@pytest.fixture
def hub(gateway: RunningGateway, passed: list[Passed]) -> Iterator[InferenceClient]:
    set_client_factory(lambda: httpx2.Client(transport=Watching(passed)))
    yield InferenceClient(base_url=f"{gateway.url}/v1", api_key=gateway.key)
    set_client_factory(_http.default_client_factory)


@pytest.mark.parametrize("model", MODELS)
def test_a_chat_is_completed(hub: InferenceClient, model: str) -> None:
    answer = hub.chat_completion(HELLO, model=model, max_tokens=50)
    assert answer.choices[0].message.content == "Say hello to every gate"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == 10


@pytest.mark.parametrize("model", MODELS)
def test_a_chat_is_streamed(hub: InferenceClient, model: str) -> None:
    chunks = list(hub.chat_completion(HELLO, model=model, stream=True))
    said = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
    assert "".join(said) == "Say hello to every gate"


def test_an_unknown_model_is_an_error_with_our_words(hub: InferenceClient) -> None:
    with pytest.raises(HfHubHTTPError, match="does not exist here"):
        hub.chat_completion(HELLO, model="none-such/model")
