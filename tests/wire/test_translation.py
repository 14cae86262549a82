"""Chat callers on Anthropic models and Anthropic callers on chat models: whole roads, in the providers' dialects."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given

from headgate.errors import StreamCut, UpstreamFailed
from headgate.types import Usage
from headgate.wire import sse
from headgate.wire.base import TextWire, Translation, encode
from headgate.wire.chat import CHAT, ChatChunk, ChatCompletion, ChatRequest
from headgate.wire.conversation import Reply
from headgate.wire.messages import MESSAGES, MessageAnswer, MessagesRequest
from tests.wire.shapes import (
    assert_anthropic_event,
    assert_anthropic_message,
    assert_chat_chunk,
    assert_chat_completion,
)
from tests.wire.strategies import chat_replies, cut_lists, events_of, messages_replies, split

CHAT_ASK = CHAT.ask(b'{"model":"m","messages":[{}],"stream":true,"stream_options":{"include_usage":true}}')
MESSAGES_ASK = MESSAGES.ask(b'{"model":"m","messages":[{}],"max_tokens":9,"stream":true}')
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def translated(body: dict[str, object], caller: TextWire, target: TextWire) -> dict[str, Any]:
    written = target.write(caller.read(json.dumps(body).encode()))
    return msgspec.json.decode(encode(written.fields), type=dict[str, Any])


def to_chat(chunks: list[bytes]) -> tuple[list[dict[str, Any]], Translation]:
    """A stream of Anthropic's as a chat caller gets it, chunk by chunk."""
    road = Translation(MESSAGES.reader(), CHAT.writer(CHAT_ASK))
    out = b"".join(road.feed(chunk) for chunk in chunks) + road.finish()
    data = [data for _, data in sse.read(out)]
    return [json.loads(chunk) for chunk in data if chunk != b"[DONE]" and assert_chat_chunk(chunk)], road


def to_messages(chunks: list[bytes]) -> tuple[list[dict[str, Any]], Translation]:
    """A stream of chunks as an Anthropic caller gets it, event by event."""
    road = Translation(CHAT.reader(), MESSAGES.writer(MESSAGES_ASK))
    out = b"".join(road.feed(chunk) for chunk in chunks) + road.finish()
    return [json.loads(data) for _, data in sse.read(out) if assert_anthropic_event(data)], road


def event(type_: str, **fields: object) -> bytes:
    return sse.write(json.dumps({"type": type_, **fields}).encode(), type_)


def joined(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """The assistant's message as a caller puts it together and sends it back."""
    message: dict[str, Any] = {"role": "assistant", "content": "", "tool_calls": [], "reasoning_details": []}
    for chunk in chunks:
        for choice in chunk["choices"]:
            delta = choice["delta"]
            message["content"] += delta.get("content") or ""
            message["reasoning_details"] += delta.get("reasoning_details", [])
            for call in delta.get("tool_calls", []):
                if "id" in call:
                    message["tool_calls"].append({name: call[name] for name in ("id", "type", "function")})
                else:
                    function = message["tool_calls"][call["index"]]["function"]
                    function["arguments"] += call["function"]["arguments"]
    return message


BLOCKS: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": "Two cities, two calls.", "signature": "EqQBCg=="},
    {"type": "redacted_thinking", "data": "EmwKAh=="},
    {"type": "text", "text": "Let me look."},
    {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}},
    {"type": "tool_use", "id": "toolu_2", "name": "weather", "input": {"city": "Bergen"}},
]
ANSWER: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude",
    "content": BLOCKS,
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {"input_tokens": 10, "cache_read_input_tokens": 30, "output_tokens": 50},
}


def anthropic_stream() -> list[bytes]:
    start = {**ANSWER, "content": [], "stop_reason": None, "usage": {**ANSWER["usage"], "output_tokens": 1}}
    frames = [event("message_start", message=start), event("ping")]
    for index, block in enumerate(BLOCKS):
        frames.append(event("content_block_start", index=index, content_block=opened(block)))
        frames += [event("content_block_delta", index=index, delta=delta) for delta in deltas(block)]
        frames.append(event("content_block_stop", index=index))
    frames.append(event("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 50}))
    return [*frames, event("message_stop")]


def opened(block: dict[str, Any]) -> dict[str, Any]:
    empty: dict[str, Any] = {"thinking": "", "signature": "", "text": "", "input": {}}
    return {name: empty.get(name, value) for name, value in block.items()}


def deltas(block: dict[str, Any]) -> list[dict[str, Any]]:
    match block["type"]:
        case "thinking":
            halves = [{"type": "thinking_delta", "thinking": half} for half in ("Two cities, ", "two calls.")]
            return [*halves, {"type": "signature_delta", "signature": block["signature"]}]
        case "text":
            return [{"type": "text_delta", "text": "Let me "}, {"type": "text_delta", "text": "look."}]
        case "tool_use":
            written = json.dumps(block["input"])
            return [{"type": "input_json_delta", "partial_json": part} for part in ("", written[:5], written[5:])]
    return []


def test_a_chat_request_becomes_a_messages_request() -> None:
    fields = translated(
        {
            "model": "claude",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "Where is this?"},
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
                    ],
                },
            ],
            "tools": [{"type": "function", "function": {"name": "weather", "description": "d", "parameters": SCHEMA}}],
            "tool_choice": "auto",
            "parallel_tool_calls": False,
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}},
            "max_completion_tokens": 100,
            "temperature": 0.5,
            "stop": "END",
            "user": "u",
        },
        CHAT,
        MESSAGES,
    )
    assert fields == {
        "model": "claude",
        "max_tokens": 100,
        "system": "Be brief.",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Where is this?"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}},
                ],
            }
        ],
        "tools": [{"name": "weather", "description": "d", "input_schema": SCHEMA}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
        "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
        "temperature": 0.5,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u"},
    }


def test_a_messages_request_becomes_a_chat_request() -> None:
    fields = translated(
        {
            "model": "gpt",
            "max_tokens": 100,
            "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
            "messages": [
                {"role": "user", "content": "Weather?"},
                {"role": "assistant", "content": BLOCKS[2:4]},
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "rain"},
                        {"type": "text", "text": "And?"},
                    ],
                },
            ],
            "tools": [{"name": "weather", "input_schema": SCHEMA}],
            "tool_choice": {"type": "any"},
            "thinking": {"type": "enabled", "budget_tokens": 8000},
        },
        MESSAGES,
        CHAT,
    )
    call = {"id": "toolu_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    assert fields == {
        "model": "gpt",
        "max_tokens": 100,
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": "Let me look.", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "toolu_1", "content": "rain"},
            {"role": "user", "content": "And?"},
        ],
        "tools": [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}],
        "tool_choice": "required",
        "reasoning_effort": "medium",
    }


def test_a_whole_answer_of_anthropic_s_is_a_chat_completion() -> None:
    completion = assert_chat_completion(CHAT.write_reply(MESSAGES.read_reply(json.dumps(ANSWER).encode())))
    [choice] = completion.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content == "Let me look."
    assert [call.function.arguments for call in choice.message.tool_calls or () if call.type == "function"] == [
        '{"city": "Oslo"}',
        '{"city": "Bergen"}',
    ]
    assert completion.usage is not None
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (40, 50)


def test_a_streamed_answer_says_what_the_whole_one_says() -> None:
    whole = json.loads(CHAT.write_reply(MESSAGES.read_reply(json.dumps(ANSWER).encode())))
    chunks, road = to_chat(anthropic_stream())
    message = joined(chunks)
    assert message["content"] == whole["choices"][0]["message"]["content"]
    assert message["tool_calls"] == whole["choices"][0]["message"]["tool_calls"]
    assert message["reasoning_details"] == whole["choices"][0]["message"]["reasoning_details"]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]][-1] == "tool_calls"
    assert chunks[-1]["usage"] == whole["usage"]
    assert road.usage == Usage(40, 50, cached=30)
    assert road.ended
    assert road.failure is None


@pytest.mark.parametrize("streamed", [False, True])
def test_signed_thinking_comes_back_to_anthropic_untouched(streamed: bool) -> None:
    if streamed:
        message = joined(to_chat(anthropic_stream())[0])
    else:
        body = CHAT.write_reply(MESSAGES.read_reply(json.dumps(ANSWER).encode()))
        message = json.loads(body)["choices"][0]["message"]
    history = [
        {"role": "user", "content": "Weather?"},
        message,
        *({"role": "tool", "tool_call_id": f"toolu_{number}", "content": "rain"} for number in (1, 2)),
    ]
    fields = translated({"model": "claude", "messages": history, "reasoning_effort": "low"}, CHAT, MESSAGES)
    assert fields["messages"][1] == {"role": "assistant", "content": BLOCKS}
    assert fields["thinking"] == {"type": "enabled", "budget_tokens": 2048}


def chunk(delta: object, finish_reason: str | None = None, **fields: object) -> bytes:
    choices = [{"index": 0, "delta": delta, "finish_reason": finish_reason}]
    return sse.write(json.dumps({"id": "1", "model": "m", "created": 7, "choices": choices, **fields}).encode())


def start_call(index: int, city: str) -> dict[str, object]:
    function = {"name": "weather", "arguments": ""}
    return {"tool_calls": [{"index": index, "id": f"call_{city}", "type": "function", "function": function}]}


def more(index: int, arguments: str) -> dict[str, object]:
    return {"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}


DEEPSEEK = [
    b": keep-alive\n\n",
    chunk({"role": "assistant", "content": None, "reasoning_content": "Two "}),
    chunk({"content": None, "reasoning_content": "calls."}),
    chunk({"content": "Let me look.", "reasoning_content": None}),
    chunk(start_call(0, "Oslo")),
    chunk(more(0, '{"city":')),
    chunk(more(0, '"Oslo"}')),
    chunk(start_call(1, "Bergen")),
    chunk(more(1, '{"city":"Bergen"}')),
    chunk(
        {"content": ""},
        "tool_calls",
        usage={"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14, "prompt_cache_hit_tokens": 4},
    ),
    sse.DONE,
]


def test_an_anthropic_caller_gets_blocks_in_order() -> None:
    events, road = to_messages(DEEPSEEK)
    blocks = [event["content_block"] for event in events if event["type"] == "content_block_start"]
    assert [block["type"] for block in blocks] == ["thinking", "text", "tool_use", "tool_use"]
    assert [block["id"] for block in blocks[2:]] == ["call_Oslo", "call_Bergen"]
    texts: dict[int, str] = {}
    for said in events:
        if said["type"] == "content_block_delta":
            kind, text = said["delta"].values()
            assert kind.endswith("_delta")
            texts[said["index"]] = texts.get(said["index"], "") + text
    assert texts == {0: "Two calls.", 1: "Let me look.", 2: '{"city":"Oslo"}', 3: '{"city":"Bergen"}'}
    assert events[-2]["delta"]["stop_reason"] == "tool_use"
    assert events[-2]["usage"] == {"input_tokens": 5, "cache_read_input_tokens": 4, "output_tokens": 5}
    assert road.usage == Usage(9, 5, cached=4)


@pytest.mark.parametrize("stream", [b"".join(DEEPSEEK), b"".join(DEEPSEEK).replace(b"\n", b"\r\n")])
def test_an_anthropic_caller_gets_the_same_for_every_cut(stream: bytes) -> None:
    whole, _ = to_messages([stream])
    for cut in range(0, len(stream), 3):
        assert to_messages([stream[:cut], stream[cut:]])[0] == whole


def test_a_failure_after_the_start_is_no_end() -> None:
    frames = [chunk({"content": "x"}), sse.write(b'{"error":{"message":"boom","code":502},"choices":[]}')]
    events, road = to_messages(frames)
    assert isinstance(road.failure, UpstreamFailed)
    assert [event["type"] for event in events][-1] == "content_block_delta"


def test_a_cut_is_no_end() -> None:
    chunks, road = to_chat(anthropic_stream()[:-1])
    assert isinstance(road.failure, StreamCut)
    assert all(chunk["choices"] for chunk in chunks)


@given(messages_replies, cut_lists)
def test_a_chat_caller_gets_the_same_for_every_split(reply: Reply, cuts: list[int]) -> None:
    writer = MESSAGES.writer(MESSAGES_ASK)
    stream = writer.write(events_of(msgspec.structs.replace(reply, created=0))) + writer.finish()
    chunks, road = to_chat([stream])
    others, other = to_chat(split(stream, cuts))
    assert [{**chunk, "created": 0} for chunk in chunks] == [{**chunk, "created": 0} for chunk in others]
    assert (road.usage, road.pieces, road.model) == (other.usage, other.pieces, other.model)


@given(messages_replies)
def test_a_chat_caller_is_told_the_same_usage_streamed_or_not(reply: Reply) -> None:
    writer = MESSAGES.writer(MESSAGES_ASK)
    chunks, road = to_chat([writer.write(events_of(reply)) + writer.finish()])
    whole = json.loads(CHAT.write_reply(MESSAGES.read_reply(MESSAGES.write_reply(reply))))
    assert chunks[-1]["usage"] == whole["usage"]
    assert road.usage == (reply.usage or Usage())


@given(chat_replies)
def test_any_chat_answer_is_a_message(reply: Reply) -> None:
    assert_anthropic_message(MESSAGES.write_reply(CHAT.read_reply(CHAT.write_reply(reply))))


def test_the_shapes_have_schemas() -> None:
    shapes = [ChatRequest, ChatCompletion, ChatChunk, MessagesRequest, MessageAnswer]
    _, components = msgspec.json.schema_components(shapes)
    assert {shape.__name__ for shape in shapes} <= set(components)
    assert components["ChatRequest"]["required"] == ["model", "messages"]
    assert components["MessagesRequest"]["required"] == ["model", "messages", "max_tokens"]
