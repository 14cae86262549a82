"""OpenAI's own client, sync and async, in front of the whole gateway."""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Iterable

import httpx2
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionChunk, ChatCompletionFunctionToolParam, ChatCompletionMessageParam
from pydantic import BaseModel

from headgate.testing import FakeUpstream
from headgate.testing.answers import Answer, ToolCall
from headgate.testing.faults import Cut, Quota, Status
from headgate.testing.gateway import RunningGateway
from tests.conftest import PROVIDER_KEY, calls

MODELS = {
    "openai/gpt-4o": "openai",
    "gpt-4o": "openai",
    "claude-sonnet-4-5": "anthropic",
    "deepseek-chat": "deepseek",
    "openrouter/openai/gpt-4o": "openrouter",
    "meta-llama/Llama-3.1-8B-Instruct": "huggingface",
    "llama2": "ollama",
    "echo": "echo",
}
"""By provider, by prefix, by HuggingFace's list, by Ollama's tags."""

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Say hello to every gate"}]
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n not a real one").decode()
WEATHER: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CALLS = (ToolCall("weather", '{"city": "Bern"}'), ToolCall("weather", '{"city": "Basel and around"}'))
every_provider = pytest.mark.parametrize(("model", "provider"), MODELS.items())
both_shapes = pytest.mark.parametrize("model", ["gpt-4o", "claude-sonnet-4-5"])


def text_of(chunks: Iterable[ChatCompletionChunk]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


@every_provider
def test_a_chat_reaches_each_provider(client: OpenAI, fake: FakeUpstream, model: str, provider: str) -> None:
    raw = client.chat.completions.with_raw_response.create(model=model, messages=HELLO)
    answer = raw.parse()
    assert answer.choices[0].message.content == "Say hello to every gate"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (5, 5, 10)
    assert raw.headers["x-headgate-provider"] == provider
    if provider != "echo":
        assert [entry.dialect for entry in calls(fake)] == [provider]


@every_provider
def test_a_chat_streams_from_each_provider(client: OpenAI, model: str, provider: str) -> None:
    chunks = list(client.chat.completions.create(model=model, messages=HELLO, stream=True))
    assert text_of(chunks) == "Say hello to every gate"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason] == ["stop"]
    assert len({chunk.id for chunk in chunks}) == 1


@every_provider
def test_include_usage_puts_the_counts_into_a_last_chunk_without_choices(
    client: OpenAI, model: str, provider: str
) -> None:
    options = {"include_usage": True}
    chunks = list(
        client.chat.completions.create(model=model, messages=HELLO, stream=True, stream_options=options)  # type: ignore[call-overload]
    )
    usage = chunks[-1].usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (5, 5, 10)
    if provider != "deepseek":  # it says usage in its last chunk that has a choice, whose bytes pass
        assert chunks[-1].choices == []


def test_every_generation_of_claude_takes_what_an_openai_client_asks(client: OpenAI, fake: FakeUpstream) -> None:
    for model in ("claude-opus-4-1", "claude-sonnet-4-5", "claude-opus-5", "claude-sonnet-5-5", "claude-fable-5-2"):
        for effort in ("none", "high"):
            raw = client.chat.completions.with_raw_response.create(
                model=model, messages=HELLO, temperature=0.2, top_p=0.9, reasoning_effort=effort
            )
            assert raw.parse().choices[0].message.content == "Say hello to every gate"
            assert "top_p" in raw.headers["x-headgate-dropped"]
    assert b'"effort":"high"' in calls(fake)[-1].body


@pytest.mark.parametrize("model", ["gpt-4o", "claude-sonnet-4-5", "llama2", "openrouter/openai/gpt-4o"])
def test_the_usage_that_only_the_gateway_asked_for_is_not_shown(client: OpenAI, model: str) -> None:
    chunks = list(client.chat.completions.create(model=model, messages=HELLO, stream=True))
    assert all(chunk.choices for chunk in chunks)
    assert all(chunk.usage is None for chunk in chunks)


async def test_the_async_client_gets_the_same(async_client: AsyncOpenAI) -> None:
    answer = await async_client.chat.completions.create(model="claude-sonnet-4-5", messages=HELLO)
    stream = await async_client.chat.completions.create(model="claude-sonnet-4-5", messages=HELLO, stream=True)
    assert text_of([chunk async for chunk in stream]) == answer.choices[0].message.content == "Say hello to every gate"


@both_shapes
def test_parallel_tool_calls_arrive_whole(client: OpenAI, fake: FakeUpstream, model: str) -> None:
    fake.script(Answer(tool_calls=CALLS))
    choice = client.chat.completions.create(model=model, messages=HELLO, tools=[WEATHER]).choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    called = [(call.function.name, call.function.arguments) for call in choice.message.tool_calls]  # type: ignore[union-attr]
    assert [name for name, _ in called] == ["weather", "weather"]
    assert [re.sub(r"\s", "", arguments) for _, arguments in called] == [
        re.sub(r"\s", "", call.arguments) for call in CALLS
    ]


@both_shapes
def test_streamed_tool_calls_are_put_together_by_the_client(client: OpenAI, fake: FakeUpstream, model: str) -> None:
    fake.script(Answer(text="Let me look. ", tool_calls=CALLS))
    with client.chat.completions.stream(model=model, messages=HELLO, tools=[WEATHER]) as stream:
        message = stream.get_final_completion().choices[0].message
    assert message.content == "Let me look. "
    assert message.tool_calls is not None
    assert [call.function.name for call in message.tool_calls] == ["weather", "weather"]
    assert "Basel and around" in message.tool_calls[1].function.arguments
    assert len({call.id for call in message.tool_calls}) == 2


@both_shapes
def test_only_the_first_delta_of_a_tool_call_carries_its_id_and_name(
    client: OpenAI, fake: FakeUpstream, model: str
) -> None:
    fake.script(Answer(tool_calls=CALLS))
    stream = client.chat.completions.create(model=model, messages=HELLO, tools=[WEATHER], stream=True)
    deltas = [call for chunk in stream for choice in chunk.choices for call in choice.delta.tool_calls or ()]
    for index in (0, 1):
        first, *others = [delta for delta in deltas if delta.index == index]
        assert first.id
        assert first.function is not None
        assert first.function.name == "weather"
        assert others
        assert all(not delta.id and delta.function and not delta.function.name for delta in others)


@pytest.mark.parametrize("model", ["gpt-4o", "claude-sonnet-4-5", "llama2", "deepseek-chat"])
def test_a_tool_result_goes_back_to_the_model(client: OpenAI, fake: FakeUpstream, model: str) -> None:
    fake.script(Answer(tool_calls=CALLS[:1]))
    asked = client.chat.completions.create(model=model, messages=HELLO, tools=[WEATHER]).choices[0].message
    assert asked.tool_calls
    history = [*HELLO, asked, {"role": "tool", "tool_call_id": asked.tool_calls[0].id, "content": "It rains."}]
    fake.script(Answer(text="Take an umbrella."))
    answer = client.chat.completions.create(model=model, messages=history, tools=[WEATHER])  # type: ignore[arg-type]
    assert answer.choices[0].message.content == "Take an umbrella."
    assert b"It rains." in calls(fake)[-1].body


class Capital(BaseModel):
    city: str
    people: int


@both_shapes
def test_an_answer_in_a_schema_is_parsed(client: OpenAI, fake: FakeUpstream, model: str) -> None:
    fake.script(Answer(text='{"city": "Bern", "people": 137000}'))
    parsed = client.chat.completions.parse(model=model, messages=HELLO, response_format=Capital)
    assert parsed.choices[0].message.parsed == Capital(city="Bern", people=137_000)
    assert b'"people"' in calls(fake)[-1].body, "the schema reached the provider"


@both_shapes
def test_images_reach_the_provider(client: OpenAI, fake: FakeUpstream, model: str) -> None:
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
    ]
    answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": content}])  # type: ignore[list-item,misc]
    assert answer.choices[0].message.content == "What is this?"
    assert PIXEL.encode() in calls(fake)[-1].body


def test_several_choices_come_back(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="gpt-4o", messages=HELLO, n=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    chunks = list(client.chat.completions.create(model="gpt-4o", messages=HELLO, n=3, stream=True))
    assert {choice.index for chunk in chunks for choice in chunk.choices} == {0, 1, 2}


def test_the_limit_on_tokens_is_kept_and_told(client: OpenAI) -> None:
    for model in ("gpt-4o", "claude-sonnet-4-5", "deepseek-chat"):
        choice = client.chat.completions.create(model=model, messages=HELLO, max_completion_tokens=2).choices[0]
        assert (choice.message.content, choice.finish_reason) == ("Say hello", "length")


def test_fields_that_nobody_knows_pass(client: OpenAI, fake: FakeUpstream) -> None:
    client.chat.completions.create(model="gpt-4o", messages=HELLO, extra_body={"brand_new": {"deep": [1.50]}})
    assert calls(fake)[-1].fields["brand_new"] == {"deep": [1.5]}
    assert calls(fake)[-1].headers["authorization"] == f"Bearer {PROVIDER_KEY}"


@pytest.mark.parametrize("model", ["gpt-3.5-turbo-instruct", "claude-sonnet-4-5", "deepseek-chat", "llama2", "echo"])
def test_a_text_is_completed_whole_and_streamed(client: OpenAI, model: str) -> None:
    whole = client.completions.create(model=model, prompt="Once upon a gate", max_tokens=99)
    streamed = list(client.completions.create(model=model, prompt="Once upon a gate", stream=True, max_tokens=99))
    assert whole.choices[0].text == "Once upon a gate"
    assert "".join(choice.text for chunk in streamed for choice in chunk.choices) == "Once upon a gate"
    assert whole.usage is not None
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (4, 4)


VECTORS = ["text-embedding-3-small", "huggingface/sentence-transformers/all-MiniLM-L6-v2", "ollama/llama2", "echo"]
INPUTS: dict[str, list[str] | str | list[int] | list[list[int]]] = {
    "one": "a gate",
    "some": ["a gate", "a wall"],
    "ids": [64, 5_000],
    "lists": [[64, 5_000], [7]],
}


@pytest.mark.parametrize("model", [name for name in VECTORS if not name.startswith("huggingface")])
def test_vectors_are_the_same_in_base64_and_as_numbers(client: OpenAI, model: str) -> None:
    packed = client.embeddings.create(model=model, input="a gate").data[0].embedding
    plain = client.embeddings.create(model=model, input="a gate", encoding_format="float").data[0].embedding
    assert packed == pytest.approx(plain, abs=1e-7)
    assert len(packed) > 1


def test_the_client_asks_for_base64_and_gets_it(client: OpenAI) -> None:
    raw = client.embeddings.with_raw_response.create(model="text-embedding-3-small", input="a gate")
    sent = raw.http_response.json()["data"][0]["embedding"]
    assert len(struct.unpack("<1536f", base64.b64decode(sent))) == 1536


@pytest.mark.parametrize("given", INPUTS.values(), ids=INPUTS)
def test_every_kind_of_input_becomes_vectors(client: OpenAI, given: list[str] | str) -> None:
    answer = client.embeddings.create(model="text-embedding-3-small", input=given)
    assert [row.index for row in answer.data] == list(range(len(answer.data)))
    assert answer.usage.prompt_tokens > 0


def test_dimensions_are_what_was_asked(client: OpenAI) -> None:
    answer = client.embeddings.create(model="text-embedding-3-small", input=["a", "b"], dimensions=16)
    assert [len(row.embedding) for row in answer.data] == [16, 16]


def test_the_models_are_listed_and_shown(client: OpenAI) -> None:
    listed = {row.id: row for row in client.models.list()}
    assert {"fast", "sturdy", "echo", "llama2", "meta-llama/Llama-3.1-8B-Instruct", "spare-model"} <= set(listed)
    for name in ("llama2", "meta-llama/Llama-3.1-8B-Instruct"):
        assert client.models.retrieve(name) == listed[name]


def test_a_stranger_is_an_authentication_error(gateway: RunningGateway, watched: httpx2.Client) -> None:
    stranger = OpenAI(base_url=f"{gateway.url}/v1", api_key="nobody-knows-me", http_client=watched)
    with pytest.raises(openai.AuthenticationError) as raised:
        stranger.chat.completions.create(model="gpt-4o", messages=HELLO)
    assert raised.value.code == "invalid_api_key"
    assert raised.value.request_id
    assert raised.value.response.headers["www-authenticate"] == "Bearer"


def test_an_unknown_model_is_not_found_and_near_names_are_said(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        client.chat.completions.create(model="lama2", messages=HELLO)
    assert (raised.value.code, raised.value.param) == ("model_not_found", "model")
    assert "`llama2`" in raised.value.message
    with pytest.raises(openai.NotFoundError, match="no-such"):
        client.models.retrieve("no-such-model")


def test_a_wrong_field_is_a_bad_request_that_names_it(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model="gpt-4o", messages=HELLO, n="two")  # type: ignore[call-overload]
    assert raised.value.param == "n"
    assert raised.value.request_id


def test_what_the_provider_refuses_is_passed_on(client: OpenAI) -> None:
    unasked: list[ChatCompletionMessageParam] = [{"role": "tool", "tool_call_id": "call_1", "content": "It rains."}]
    with pytest.raises(openai.BadRequestError, match="must answer a tool call") as raised:
        client.chat.completions.create(model="gpt-4o", messages=unasked)
    assert raised.value.param == "messages.[0].role"


def test_a_rate_limit_says_how_long_to_wait(client: OpenAI, fake: FakeUpstream) -> None:
    fake.fault(Status(429, retry_after="7"))
    with pytest.raises(openai.RateLimitError) as raised:
        client.chat.completions.create(model="gpt-4o", messages=HELLO)
    assert raised.value.response.headers["retry-after"] == "7"
    assert raised.value.code == "rate_limit_exceeded"


def test_an_empty_account_is_not_tried_again_by_the_client(client: OpenAI, fake: FakeUpstream) -> None:
    fake.fault(Quota(), times=9)
    with pytest.raises(openai.RateLimitError) as raised:
        client.with_options(max_retries=2).chat.completions.create(model="gpt-4o", messages=HELLO)
    assert raised.value.code == "insufficient_quota"
    assert len(calls(fake)) == 1


def test_a_failing_provider_is_an_internal_server_error(client: OpenAI, fake: FakeUpstream) -> None:
    fake.fault(Status(500), times=9)
    with pytest.raises(openai.InternalServerError) as raised:
        client.chat.completions.create(model="gpt-4o", messages=HELLO)
    assert raised.value.status_code == 502
    assert raised.value.code == "upstream_failed"
    assert raised.value.request_id


def test_a_refused_credential_of_ours_is_no_authentication_error(client: OpenAI, fake: FakeUpstream) -> None:
    fake.fault(Status(401), times=9)
    with pytest.raises(openai.InternalServerError) as raised:
        client.with_options(max_retries=2).chat.completions.create(model="gpt-4o", messages=HELLO)
    assert (raised.value.status_code, raised.value.code) == (502, "upstream_auth_error")
    assert len(calls(fake)) == 1, "the client was told not to try again"


@pytest.mark.parametrize("model", ["gpt-4o", "claude-sonnet-4-5", "llama2"])
def test_a_stream_that_breaks_raises_after_what_was_delivered(client: OpenAI, fake: FakeUpstream, model: str) -> None:
    whole = Answer(text="one two three four five six seven eight nine ten")
    fake.script(whole)
    fake.fault(Cut(after_bytes=1_100))
    delivered = []
    with pytest.raises(openai.APIError) as raised:  # noqa: PT012
        for chunk in client.chat.completions.create(model=model, messages=HELLO, stream=True):
            delivered.append(chunk)  # noqa: PERF402
    assert whole.text.startswith(text_of(delivered))
    assert raised.value.code in ("upstream_stream_cut", "upstream_unreachable")


def test_the_readme_of_the_model_router_runs_as_printed(
    readme_gateway: RunningGateway, watched: httpx2.Client, fake: FakeUpstream
) -> None:
    client = openai.OpenAI(api_key="test-key", base_url=f"{readme_gateway.url}/v1", http_client=watched)
    for model, dialect in (("gpt-3.5-turbo", "openai"), ("llama2", "ollama")):
        response = client.chat.completions.create(
            model=model,
            messages=[
                {"role": "system", "content": "You are a helpful assistant."},
                {"role": "user", "content": "Tell me about machine learning."},
            ],
        )
        assert response.choices[0].message.content == "Tell me about machine learning."
        assert calls(fake)[-1].dialect == dialect
    vectors = client.embeddings.create(model="text-embedding-ada-002", input="Machine learning is fascinating")
    assert len(vectors.data[0].embedding) == 1536
