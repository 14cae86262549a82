from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given

from headgate.errors import BadRequest, WireNotServed
from headgate.wire.base import Fields, encode
from headgate.wire.chat import CHAT
from headgate.wire.conversation import (
    Audio,
    Conversation,
    File,
    Image,
    Message,
    OutputFormat,
    Refusal,
    Settings,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from headgate.wire.messages import MESSAGES
from tests.wire.strategies import chat_conversations

HELLO = {"role": "user", "content": "hello"}


def asked(messages: list[object] | None = None, **fields: Any) -> Conversation:
    return CHAT.read(json.dumps({"model": "m", "messages": messages or [HELLO], **fields}).encode())


def said(message: dict[str, object]) -> Message:
    return asked([message]).messages[0]


def plain(fields: Fields) -> dict[str, object]:
    return msgspec.json.decode(encode(fields), type=dict[str, object])


def written(*messages: Message, **changes: object) -> dict[str, object]:
    return plain(CHAT.write(Conversation("m", messages, **changes)).fields)  # type: ignore[arg-type]


@given(chat_conversations)
def test_what_is_written_is_read(conversation: Conversation) -> None:
    written = CHAT.write(conversation)
    assert written.dropped == ()
    assert CHAT.read(encode(written.fields)) == conversation


def test_content_parts_of_every_kind_are_read() -> None:
    message = said(
        {
            "role": "user",
            "name": "ann",
            "content": [
                {"type": "text", "text": "look", "cache_control": {"type": "ephemeral"}},
                {"type": "text", "text": "here", "prompt_cache_breakpoint": {"mode": "explicit"}},
                {"type": "image_url", "image_url": {"url": "https://host/cat.png", "detail": "high"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
                {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,QUJD", "filename": "a.pdf"}},
                {"type": "file", "file": {"file_data": "QUJD"}},
                {"type": "file", "file": {"file_id": "file-1"}},
            ],
        }
    )
    assert message == Message(
        "user",
        (
            Text("look", cache=True),
            Text("here", cache=True),
            Image(url="https://host/cat.png", detail="high"),
            Image(data="QUJD", media_type="image/png"),
            Audio("QUJD", "wav"),
            File(data="QUJD", media_type="application/pdf", filename="a.pdf"),
            File(data="QUJD", media_type="application/pdf"),
            File(file_id="file-1"),
        ),
        "ann",
    )


def test_tool_arguments_stay_the_exact_string() -> None:
    arguments = '{ "b":1,\t"a": 2.0 '
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    conversation = asked([HELLO, {"role": "assistant", "content": None, "tool_calls": [call]}])
    assert conversation.messages[1].parts == (ToolCall("c", "f", arguments),)
    assert f'"arguments":{json.dumps(arguments)}'.encode() in encode(CHAT.write(conversation).fields)


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "thinking"])
def test_reasoning_is_read_under_every_name(name: str) -> None:
    assert said({"role": "assistant", "content": "so", name: "hm"}).parts == (Thinking("hm"), Text("so"))


def test_reasoning_in_pieces_becomes_the_block_that_was_signed() -> None:
    details = [
        {"type": "reasoning.text", "text": "a", "format": "x", "index": 0},
        {"type": "reasoning.text", "text": "b", "index": 0},
        {"type": "reasoning.text", "signature": "s", "index": 0},
        {"type": "reasoning.encrypted", "data": "d"},
        {"type": "reasoning.summary", "summary": "c"},
    ]
    message = said({"role": "assistant", "content": "so", "reasoning": "abc", "reasoning_details": details})
    assert message.parts == (Thinking("ab", "s"), Thinking(redacted="d"), Thinking("c"), Text("so"))


def test_a_bare_signature_signs_the_plain_reasoning() -> None:
    details = [{"type": "reasoning.text", "signature": "s"}]
    message = said({"role": "assistant", "reasoning_content": "hm", "reasoning_details": details})
    assert message.parts == (Thinking("hm", "s"),)


def test_refusals_are_read_from_both_places() -> None:
    assert said({"role": "assistant", "refusal": "no"}).parts == (Refusal("no"),)
    assert said({"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}).parts == (Refusal("no"),)


def test_deprecated_functions_are_read_as_tools() -> None:
    conversation = asked(
        [
            HELLO,
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": "1"},
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": "2"},
        ],
        functions=[{"name": "f"}],
        function_call={"name": "f"},
    )
    assert conversation.tools == (Tool("f"),)
    assert conversation.tool_choice == ToolChoice("tool", "f")
    parts = [message.parts[0] for message in conversation.messages[1:]]
    assert parts == [
        ToolCall("call_1", "f", "{}"),
        ToolResult("call_1", (Text("1"),)),
        ToolCall("call_3", "f", "{}"),
        ToolResult("call_3", (Text("2"),)),
    ]


def test_allowed_tools_leave_out_the_others() -> None:
    functions = [{"type": "function", "function": {"name": name}} for name in "abc"]
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [functions[0], functions[2]]}}
    conversation = asked(tools=functions, tool_choice=choice)
    assert [tool.name for tool in conversation.tools] == ["a", "c"]
    assert conversation.tool_choice == ToolChoice("required")


@pytest.mark.parametrize(
    ("fields", "settings"),
    [
        ({"max_tokens": 5}, Settings(max_tokens=5)),
        ({"max_completion_tokens": 6, "max_tokens": 5}, Settings(max_tokens=6)),
        ({"max_tokens": -1}, Settings()),
        ({"stop": "x"}, Settings(stop=("x",))),
        ({"stop": ["x", "y"]}, Settings(stop=("x", "y"))),
        ({"temperature": 1}, Settings(temperature=1.0)),
        ({"reasoning_effort": "low"}, Settings(effort="low")),
        ({"reasoning": {"effort": "high"}}, Settings(effort="high")),
        ({"reasoning": {"max_tokens": 2000}}, Settings(thinking_tokens=2000)),
        ({"reasoning": {"enabled": False}}, Settings(thinking_tokens=0)),
        ({"thinking": {"type": "enabled", "budget_tokens": 3000}}, Settings(thinking_tokens=3000)),
        ({"thinking": {"type": "disabled"}}, Settings(thinking_tokens=0)),
        ({"safety_identifier": "u"}, Settings(user="u")),
        ({"response_format": {"type": "text"}}, Settings()),
        ({"response_format": {"type": "json_object"}}, Settings(format=OutputFormat("json"))),
        ({"seed": None, "n": None}, Settings()),
    ],
)
def test_settings_are_read(fields: dict[str, Any], settings: Settings) -> None:
    assert asked(**fields).settings == settings


def test_fields_without_a_place_are_named() -> None:
    assert asked(logit_bias={"1": 2}, store=True, brand_new=[1], verbosity=None).unread == (
        "logit_bias",
        "store",
        "brand_new",
    )


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "user", "content": 5}, "messages[0].content"),
        ({"role": "user"}, "messages[0].content"),
        ({"content": "x"}, "messages[0].role"),
        ({"role": "robot", "content": "x"}, "messages[0].role"),
        ({"role": "user", "content": [{"type": "smell"}]}, "messages[0].content[0].type"),
        ({"role": "user", "content": [{"type": "text"}]}, "messages[0].content[0].text"),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "cat.png"}}]},
            "messages[0].content[0].image_url",
        ),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/svg+xml,<svg>"}}]},
            "messages[0].content[0].image_url",
        ),
        ({"role": "user", "content": [{"type": "file", "file": {}}]}, "messages[0].content[0].file"),
        ({"role": "tool", "content": "x"}, "messages[0].tool_call_id"),
        ({"role": "assistant", "tool_calls": [{"id": "c", "type": "function"}]}, "messages[0].tool_calls[0].function"),
    ],
)
def test_a_bad_message_is_refused_with_the_path_to_the_fault(message: dict[str, object], param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        asked([message])
    assert refused.value.param == param
    assert f"`{param}`" in refused.value.message


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": 3}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"n": 10**6}, "n"),
        ({"max_tokens": 2**63}, "max_tokens"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"tool_choice": "perhaps"}, "tool_choice"),
    ],
)
def test_a_bad_setting_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        asked(**fields)
    assert refused.value.param == param


@pytest.mark.parametrize(
    "body", [b"{}", b'{"model":"m"}', b'{"model":"m","messages":[]}', b'{"model":"m","messages":{}}']
)
def test_a_request_without_messages_is_refused_at_the_door(body: bytes) -> None:
    with pytest.raises(BadRequest):
        CHAT.ask(body)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"tools": [{"type": "custom", "custom": {"name": "sql"}}]}, "tools[0]"),
        ({"tool_choice": {"type": "custom", "custom": {"name": "sql"}}}, "tool_choice"),
        (
            {
                "messages": [
                    {
                        "role": "assistant",
                        "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "sql", "input": "x"}}],
                    }
                ]
            },
            "messages[0].tool_calls[0]",
        ),
    ],
)
def test_what_only_chat_can_carry_goes_to_another_target(fields: dict[str, object], param: str) -> None:
    with pytest.raises(WireNotServed) as refused:
        CHAT.read(json.dumps({"model": "m", "messages": [HELLO], **fields}).encode())
    assert refused.value.param == param


HOSTILE = {
    "deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "not UTF-8": b'{"a":"\xff"}',
    "half a character": b'{"a":"\\ud800"}',
    "not a number": b'{"a":NaN}',
    "endless number": b'{"a":' + b"1" * 100_000 + b"}",
}


@pytest.mark.parametrize("schema", HOSTILE.values(), ids=HOSTILE)
def test_hostile_json_deep_in_a_request_is_refused(schema: bytes) -> None:
    message = b'"messages":[{"role":"user","content":"x"}]'
    tool = b'{"type":"function","function":{"name":"f","parameters":%b}}' % schema
    with pytest.raises(BadRequest):
        CHAT.read(b'{"model":"m",%b,"tools":[%b]}' % (message, tool))
    with pytest.raises(BadRequest):
        MESSAGES.read(b'{"model":"m","max_tokens":1,%b,"tools":[{"name":"f","input_schema":%b}]}' % (message, schema))


def test_images_in_tool_results_follow_in_a_user_message() -> None:
    fields = written(
        Message("assistant", (ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}"))),
        Message("tool", (ToolResult("a", (Text("shot:"), Image(url="https://host/1.png"))),)),
        Message("tool", (ToolResult("b", (Text("done"),)),)),
        Message("user", (Text("and?"),)),
    )
    assert fields["messages"][1:] == [  # type: ignore[index]
        {"role": "tool", "tool_call_id": "a", "content": "shot:"},
        {"role": "tool", "tool_call_id": "b", "content": "done"},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://host/1.png"}}]},
        {"role": "user", "content": "and?"},
    ]


def test_what_goes_by_the_board_is_named() -> None:
    conversation = Conversation(
        "m",
        (
            Message("user", (Text("x", cache=True),)),
            Message("tool", (ToolResult("c", (Text("oops"),), failed=True),)),
        ),
        settings=Settings(top_k=4, thinking_tokens=0, parallel_tools=False),
    )
    assert CHAT.write(conversation).dropped == ("top_k", "thinking", "parallel_tool_calls", "cache_control", "is_error")


@pytest.mark.parametrize(
    ("budget", "word"), [(1024, "low"), (2048, "low"), (2049, "medium"), (9000, "high"), (10**6, "high")]
)
def test_a_thinking_budget_becomes_an_effort(budget: int, word: str) -> None:
    assert written(settings=Settings(thinking_tokens=budget))["reasoning_effort"] == word


@pytest.mark.parametrize(
    "conversation",
    [
        Conversation("m", (Message("user", (Text("x"),)),), suffix="y"),
        Conversation("m", (Message("user", (File(url="https://host/a.pdf"),)),)),
    ],
)
def test_what_chat_cannot_carry_goes_to_another_target(conversation: Conversation) -> None:
    with pytest.raises(WireNotServed):
        CHAT.write(conversation)
