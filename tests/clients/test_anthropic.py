"""Anthropic's own client as the oracle: what reaches Anthropic is what its types allow; the answer loses nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from anthropic import Anthropic
from anthropic.types import ContentBlockParam, MessageParam
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam
from pydantic import TypeAdapter

from headgate.testing import FakeUpstream
from headgate.testing.answers import Answer, ToolCall
from headgate.testing.gateway import RunningGateway
from tests.clients.test_openai import CALLS, HELLO, PIXEL, WEATHER, Capital, text_of
from tests.conftest import PROVIDER_KEY, calls

MODEL = "claude-of-these-tests"
ANSWERS = {
    "text": Answer(text="Grüezi, every gate"),
    "limit": Answer(text="Grüezi, every", finish="length"),
    "calls": Answer(text="Let me look.", tool_calls=CALLS),
    "cache": Answer(text="Grüezi", cached=2, cache_written=1),
    "stop": Answer(text="Grüezi", stop_sequence="###", finish="stop"),
    "thinking": Answer(text="Grüezi", thinking="They greet me."),
}
LONG: list[ChatCompletionMessageParam] = [{"role": "user", "content": "one two three four five"}]
SAMPLING = {"temperature", "top_p", "top_k"}
"""Models of before take them; the present types have no word of them."""

_block: TypeAdapter[Any] = TypeAdapter(ContentBlockParam)
_whole: TypeAdapter[Any] = TypeAdapter(MessageCreateParamsNonStreaming)
_streamed: TypeAdapter[Any] = TypeAdapter(MessageCreateParamsStreaming)


@pytest.fixture
def anthropic(fake: FakeUpstream) -> Iterator[Anthropic]:
    """The vendor's client, straight at the provider."""
    with Anthropic(base_url=fake.base_url("anthropic"), api_key="sk-ant-direct-to-the-fake", max_retries=0) as client:
        yield client


def assert_declared(shape: TypeAdapter[Any], said: dict[str, Any]) -> None:
    """Validation drops what a type does not declare; nothing may go."""
    assert shape.dump_python(shape.validate_python(said), mode="json") == said


def received(fake: FakeUpstream) -> dict[str, Any]:
    """The last request that reached the provider, as Anthropic's own types allow it: no field more, none less."""
    call = calls(fake)[-1]
    assert (call.dialect, call.path) == ("anthropic", "/v1/messages")
    assert call.headers["x-api-key"] == PROVIDER_KEY
    assert call.headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in call.headers
    fields = json.loads(call.body)
    top = {name: value for name, value in fields.items() if name not in SAMPLING} | {"messages": []}
    assert_declared(_streamed if fields.get("stream") else _whole, top)
    for turn in fields["messages"]:
        assert set(turn) == {"role", "content"}
        for block in turn["content"] if isinstance(turn["content"], list) else ():
            assert_declared(_block, block)
    found: dict[str, Any] = fields
    return found


CONVERSATIONS: dict[str, dict[str, Any]] = {
    "plain": {"messages": HELLO},
    "system": {"messages": [{"role": "system", "content": "Be brief."}, *HELLO]},
    "developer": {"messages": [{"role": "developer", "content": "Be brief."}, *HELLO, *HELLO]},
    "knobs": {"messages": HELLO, "temperature": 0.5, "top_p": 0.9, "stop": ["###"], "max_tokens": 50, "user": "u-1"},
    "tools": {"messages": HELLO, "tools": [WEATHER], "tool_choice": "required", "parallel_tool_calls": False},
    "one tool": {
        "messages": HELLO,
        "tools": [WEATHER],
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
    },
    "image": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
                    {"type": "image_url", "image_url": {"url": "https://images.test/cat.png"}},
                ],
            }
        ]
    },
    "results": {
        "messages": [
            *HELLO,
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": f"call_{index}", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
                    for index in range(2)
                ],
            },
            {"role": "tool", "tool_call_id": "call_0", "content": "It rains."},
            {"role": "tool", "tool_call_id": "call_1", "content": "It snows."},
            {"role": "user", "content": "And?"},
        ]
    },
    "reasoning": {"messages": HELLO, "reasoning_effort": "high", "max_completion_tokens": 30_000},
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("asked", CONVERSATIONS.values(), ids=CONVERSATIONS)
def test_what_reaches_anthropic_is_what_its_types_allow(
    client: OpenAI, fake: FakeUpstream, asked: dict[str, Any], stream: bool
) -> None:
    answer: Any = client.chat.completions.create(model=MODEL, stream=stream, **asked)
    text = text_of(answer) if stream else answer.choices[0].message.content
    assert text
    assert received(fake)["model"] == MODEL


def test_a_schema_reaches_anthropic(client: OpenAI, fake: FakeUpstream) -> None:
    fake.script(Answer(text='{"city": "Bern", "people": 1}'))
    client.chat.completions.parse(model=MODEL, messages=HELLO, response_format=Capital)
    assert "people" in json.dumps(received(fake))


@pytest.mark.parametrize("scripted", ANSWERS.values(), ids=ANSWERS)
def test_the_answer_is_what_anthropics_own_client_gets(
    client: OpenAI, anthropic: Anthropic, fake: FakeUpstream, scripted: Answer
) -> None:
    fake.script(scripted, scripted, scripted)
    turns: list[MessageParam] = [{"role": "user", "content": "one two three four five"}]
    theirs = anthropic.messages.create(model=MODEL, max_tokens=1_000, messages=turns)
    ours = client.chat.completions.create(model=MODEL, messages=LONG)
    with client.chat.completions.stream(model=MODEL, messages=LONG, stream_options={"include_usage": True}) as stream:
        stream.until_done()
        streamed = stream.current_completion_snapshot

    text = "".join(block.text for block in theirs.content if block.type == "text")
    tools = [(block.id, block.name, block.input) for block in theirs.content if block.type == "tool_use"]
    used = theirs.usage
    prompt = used.input_tokens + (used.cache_read_input_tokens or 0) + (used.cache_creation_input_tokens or 0)
    for completion in (ours, streamed):
        message, usage = completion.choices[0].message, completion.usage
        assert message.content == text
        called = [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or ()]  # type: ignore[union-attr]
        assert [(id_, name, json.loads(arguments)) for id_, name, arguments in called] == tools
        assert usage is not None
        assert (usage.prompt_tokens, usage.completion_tokens) == (prompt, used.output_tokens)
        cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else 0
        assert cached == used.cache_read_input_tokens
        assert completion.choices[0].finish_reason == {
            "end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls",
        }[str(theirs.stop_reason)]  # fmt: skip


def test_thinking_goes_out_and_comes_back_with_its_signature(client: OpenAI, fake: FakeUpstream) -> None:
    call = ToolCall("weather", '{"city": "Bern"}')
    fake.script(Answer(thinking="They want the weather.", tool_calls=(call,)))
    ask: dict[str, Any] = {
        "model": MODEL,
        "tools": [WEATHER],
        "reasoning_effort": "low",
        "max_completion_tokens": 20_000,
    }
    message = client.chat.completions.create(messages=HELLO, **ask).choices[0].message
    assert message.model_extra is not None
    assert message.model_extra["reasoning_content"] == "They want the weather."
    said: Any = message.model_dump(exclude_none=True)
    result: Any = {"role": "tool", "tool_call_id": said["tool_calls"][0]["id"], "content": "It rains."}
    fake.script(Answer(text="An umbrella."))
    client.chat.completions.create(messages=[*HELLO, said, result], **ask)
    blocks = received(fake)["messages"][1]["content"]
    assert [block["type"] for block in blocks] == ["thinking", "tool_use"]
    assert blocks[0]["thinking"] == "They want the weather."
    assert blocks[0]["signature"], "the fake refuses a thinking block whose signature is not its own"


def test_the_prefix_of_an_earlier_gateway_leads_to_anthropic(client: OpenAI, fake: FakeUpstream) -> None:
    client.chat.completions.create(model="anthropic-claude-3-opus", messages=HELLO)
    assert received(fake)["model"] == "claude-3-opus"


def test_the_callers_own_key_goes_no_further(client: OpenAI, gateway: RunningGateway, fake: FakeUpstream) -> None:
    client.chat.completions.create(model=MODEL, messages=HELLO)
    (call,) = calls(fake)
    assert gateway.key not in json.dumps(call.headers)


def test_a_small_bound_squeezes_no_effort_of_a_model_that_paces_itself(client: OpenAI, fake: FakeUpstream) -> None:
    client.chat.completions.create(
        model="claude-opus-5", messages=HELLO, reasoning_effort="high", max_completion_tokens=500
    )
    sent = received(fake)
    assert (sent["output_config"], sent["max_tokens"]) == ({"effort": "high"}, 500)
    assert sent["thinking"]["type"] == "adaptive"
