"""DeepSeek, OpenRouter and HuggingFace: OpenAI's client can read them, and each has its own habits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from openai import AsyncOpenAI

from headgate.config import ProviderSettings
from headgate.providers.found import discover, make
from headgate.testing import Answer, FakeUpstream, ToolCall
from headgate.testing.dialects.openrouter import COMPLETION_NANO, PROMPT_NANO
from headgate.types import Usage
from headgate.wire import sse
from tests.testing.wire import plain

HI: Any = [{"role": "user", "content": "one two three"}]
NAMES = ["deepseek", "openrouter", "huggingface", "ollama"]
MODELS = {
    "deepseek": "deepseek-chat",
    "openrouter": "openai/gpt-4o",
    "huggingface": "Qwen/Qwen3-32B:fastest",
    "ollama": "llama2",
}


@pytest.fixture
async def clients(fake: FakeUpstream) -> AsyncIterator[dict[str, AsyncOpenAI]]:
    urls = {name: fake.base_url(name) for name in NAMES} | {"ollama": fake.base_url("ollama") + "/v1"}
    made = {
        name: AsyncOpenAI(base_url=url, api_key="a-key", max_retries=0, http_client=plain())
        for name, url in urls.items()
    }
    yield made
    for client in made.values():
        await client.close()


async def data_of(http: httpx.AsyncClient, path: str, **body: Any) -> list[Any]:
    answer = await http.post(path, json={"messages": HI, "stream": True} | body)
    assert answer.status_code == 200, answer.text
    return [msgspec.json.decode(data) for _, data in sse.read(answer.content) if data != b"[DONE]"]


@pytest.mark.parametrize("name", NAMES)
async def test_openais_client_reads_it_whole_and_streamed(
    name: str, clients: dict[str, AsyncOpenAI], fake: FakeUpstream
) -> None:
    answer = Answer(
        thinking="let me see", text="four five", tool_calls=(ToolCall("clock", '{"zone":"utc"}'),), cached=1
    )
    fake.script(answer, answer)
    chat = clients[name].chat.completions
    whole = await chat.create(model=MODELS[name], messages=HI)
    text, called, usage = "", "", None
    async for chunk in await chat.create(
        model=MODELS[name], messages=HI, stream=True, stream_options={"include_usage": True}
    ):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            for call in choice.delta.tool_calls or []:
                called += (call.function and call.function.arguments) or ""
    assert (text, called) == ("four five", '{"zone":"utc"}')
    assert whole.choices[0].message.content == "four five"
    assert whole.usage == usage
    assert whole.usage is not None
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (3, 7)
    assert [entry.charged.total for entry in fake.journal] == [10, 10]


@pytest.mark.parametrize("name", NAMES)
async def test_our_own_provider_reads_its_models_and_refusals(
    name: str, http: httpx.AsyncClient, fake: FakeUpstream
) -> None:
    base = fake.url + fake.dialects[name].prefix
    settings = ProviderSettings(name=name, kind=name, base_url=base)
    provider = make(settings, discover())
    listed = provider.models((await http.get(provider.models_url)).content)
    assert {card.id for card in listed} >= set(fake.dialects[name].models)
    fake.fault("status=429; retry_after=7")
    refused = await http.post(provider.url("chat", "m"), json={"model": "m", "messages": HI})
    headers = {key.lower(): value for key, value in refused.headers.raw}
    error = provider.failure(refused.status_code, headers, refused.content)
    assert (error.code_said, getattr(error, "retry_after_s", None)) == ("rate_limit_exceeded", 7)
    assert "told to fail" in error.message


async def test_deepseek_shows_reasoning_beside_the_content(http: httpx.AsyncClient, fake: FakeUpstream) -> None:
    fake.script(Answer(thinking="let me", text="42", cached=1), Answer(thinking="let me", text="42"))
    body = {"model": "deepseek-reasoner", "messages": HI}
    whole = (await http.post("/deepseek/chat/completions", json=body)).json()
    message = whole["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == ("let me", "42")
    assert whole["usage"]["prompt_cache_hit_tokens"] == 1
    assert whole["usage"]["prompt_cache_miss_tokens"] == 2
    assert whole["usage"]["completion_tokens_details"]["reasoning_tokens"] == 2
    deltas = [chunk["choices"][0]["delta"] for chunk in await data_of(http, "/deepseek/chat/completions", **body)]
    assert "".join(delta.get("reasoning_content") or "" for delta in deltas) == "let me"


async def test_deepseek_counts_in_its_last_chunk_without_being_asked(http: httpx.AsyncClient) -> None:
    chunks = await data_of(http, "/deepseek/chat/completions", model="deepseek-chat")
    assert [("usage" in chunk, bool(chunk["choices"])) for chunk in chunks][-1] == (True, True)
    assert not any("usage" in chunk for chunk in chunks[:-1])


async def test_deepseek_shows_life_while_a_call_waits(http: httpx.AsyncClient) -> None:
    body = {"model": "deepseek-chat", "messages": HI}
    whole = await http.post("/deepseek/chat/completions", json=body)
    assert whole.content.startswith(b"\n\n{")
    assert whole.json()["object"] == "chat.completion"
    streamed = await http.post("/deepseek/chat/completions", json=body | {"stream": True})
    assert streamed.content.startswith(b": keep-alive\n\n: keep-alive\n\ndata: {")


async def test_deepseek_reads_max_tokens_only(http: httpx.AsyncClient) -> None:
    async def said(**limit: int) -> str:
        body = {"model": "deepseek-chat", "messages": HI} | limit
        text = (await http.post("/deepseek/v1/chat/completions", json=body)).json()["choices"][0]["message"]["content"]
        assert isinstance(text, str)
        return text

    assert await said(max_tokens=1) == "one"
    assert await said(max_completion_tokens=1) == "one two three"


async def test_deepseeks_older_reasoner_takes_no_reasoning_back(http: httpx.AsyncClient) -> None:
    told = [*HI, {"role": "assistant", "content": "x", "reasoning_content": "y"}, *HI]
    for model, status in (("deepseek-reasoner", 400), ("deepseek-chat", 200)):
        answer = await http.post("/deepseek/chat/completions", json={"model": model, "messages": told})
        assert answer.status_code == status


async def test_openrouter_says_the_price_and_who_served(http: httpx.AsyncClient, fake: FakeUpstream) -> None:
    body = {"model": "openai/gpt-4o", "messages": HI}
    whole = (await http.post("/openrouter/chat/completions", json=body)).json()
    cost = 3 * PROMPT_NANO + 3 * COMPLETION_NANO
    assert whole["usage"]["cost"] == cost / 1e9
    assert fake.journal[0].charged == Usage(prompt=3, completion=3, cost_nano=cost)
    assert whole["provider"] == "Fake"
    assert whole["choices"][0]["native_finish_reason"] == "stop"
    *before, last = await data_of(http, "/openrouter/chat/completions", model="openai/gpt-4o")
    assert last["choices"] == []
    assert last["usage"] == whole["usage"]
    assert all(chunk["provider"] == "Fake" for chunk in before)


async def test_openrouter_comments_while_it_works(http: httpx.AsyncClient) -> None:
    body = {"model": "openai/gpt-4o", "messages": HI, "stream": True}
    answer = await http.post("/openrouter/chat/completions", json=body)
    assert answer.content.startswith(b": OPENROUTER PROCESSING\n\n")


async def test_openrouter_fails_inside_a_stream_by_a_chunk(http: httpx.AsyncClient, fake: FakeUpstream) -> None:
    fake.fault("error_event=2; status=502")
    chunks = await data_of(http, "/openrouter/chat/completions", model="openai/gpt-4o")
    assert len(chunks) == 3
    assert chunks[-1]["error"]["code"] == 502
    assert chunks[-1]["choices"][0]["finish_reason"] == "error"


async def test_openrouter_prices_its_catalogue_in_strings(http: httpx.AsyncClient) -> None:
    rows = (await http.get("/openrouter/models")).json()["data"]
    assert rows[0]["pricing"] == {"prompt": "0.00000025", "completion": "0.00000125", "request": "0"}
    assert rows[0]["context_length"] == 128_000


async def test_openrouter_shows_reasoning_in_two_fields(http: httpx.AsyncClient, fake: FakeUpstream) -> None:
    fake.script(Answer(thinking="hm hm", text="x"))
    answer = await http.post("/openrouter/chat/completions", json={"model": "a/b", "messages": HI})
    message = answer.json()["choices"][0]["message"]
    assert message["reasoning"] == "hm hm"
    assert message["reasoning_details"][0]["text"] == "hm hm"


async def test_huggingface_extracts_features_at_the_models_own_path(
    http: httpx.AsyncClient, fake: FakeUpstream
) -> None:
    model = "sentence-transformers/all-MiniLM-L6-v2"
    path = f"/hf/hf-inference/models/{model}/pipeline/feature-extraction"
    one = (await http.post(path, json={"inputs": "a b"})).json()
    many = (await http.post(path, json={"inputs": ["a b", "c"]})).json()
    assert many[0] == one
    assert [len(vector) for vector in many] == [384, 384]
    assert [entry.model for entry in fake.journal] == [model, model]
    assert fake.journal.charged == Usage(prompt=5)


async def test_huggingface_says_how_long_a_model_loads(http: httpx.AsyncClient, fake: FakeUpstream) -> None:
    fake.fault("loading=2.5")
    body = {"model": "Qwen/Qwen3-32B", "messages": HI}
    loading = await http.post("/hf/v1/chat/completions", json=body)
    assert loading.status_code == 503
    assert loading.json()["estimated_time"] == 2.5
    assert (await http.post("/hf/v1/chat/completions", json=body)).status_code == 200


async def test_huggingface_knows_a_model_with_a_policy() -> None:
    async with (
        FakeUpstream(models={"huggingface": ["a/b"]}) as fake,
        httpx.AsyncClient(headers={"authorization": "Bearer k"}, verify=False) as http,
    ):
        for model, status in (("a/b", 200), ("a/b:cheapest", 200), ("a/c", 404)):
            body = {"model": model, "messages": HI}
            answer = await http.post(fake.base_url("huggingface") + "/chat/completions", json=body)
            assert answer.status_code == status
