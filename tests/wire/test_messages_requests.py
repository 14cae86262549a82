from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.errors import BadRequest, WireNotServed
from headgate.wire.base import encode
from headgate.wire.conversation import (
    AnyPart,
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
from tests.wire.strategies import chat_conversations, messages_conversations

HELLO = {"role": "user", "content": "hello"}
ASKED = Message("user", (Text("hello"),))
TOOL = Tool("f", parameters={"type": "object"})


def asked(messages: list[object] | None = None, **fields: Any) -> Conversation:
    body = {"model": "m", "max_tokens": 9, "messages": messages or [HELLO], **fields}
    return MESSAGES.read(json.dumps(body).encode())


def written(*messages: Message, **changes: object) -> dict[str, object]:
    conversation = Conversation("m", messages or (ASKED,), **changes)  # type: ignore[arg-type]
    return msgspec.json.decode(encode(MESSAGES.write(conversation).fields), type=dict[str, object])


def turns(*messages: Message) -> object:
    return written(*messages)["messages"]


def settled(**settings: object) -> tuple[dict[str, object], tuple[str, ...]]:
    """What is left of settings, and what is dropped."""
    conversation = Conversation("m", (ASKED,), settings=Settings(**settings))  # type: ignore[arg-type]
    fields = msgspec.json.decode(encode(MESSAGES.write(conversation).fields), type=dict[str, object])
    del fields["model"], fields["messages"]
    return fields, MESSAGES.write(conversation).dropped


@given(messages_conversations())
def test_what_is_written_is_read(conversation: Conversation) -> None:
    written = MESSAGES.write(conversation)
    assert written.dropped == ()
    assert MESSAGES.read(encode(written.fields)) == conversation


@given(chat_conversations)
def test_whatever_chat_says_makes_turns_that_alternate(conversation: Conversation) -> None:
    try:
        fields = MESSAGES.write(conversation).fields
    except WireNotServed:
        return
    roles = [turn["role"] for turn in msgspec.json.decode(fields["messages"])]
    assert set(roles) <= {"user", "assistant"}
    assert all(roles[i] != roles[i + 1] for i in range(len(roles) - 1))
    assert msgspec.json.decode(fields["max_tokens"]) > 0


@given(st.integers(1024, 50_000), st.integers(1, 50_000), st.none() | st.floats(0, 1), st.none() | st.floats(0, 1))
def test_a_thinking_budget_that_fits_comes_back(
    budget: int, rest: int, temperature: float | None, top_p: float | None
) -> None:
    fields, dropped = settled(
        thinking_tokens=budget, max_tokens=budget + rest, temperature=temperature, top_p=top_p, top_k=5
    )
    assert fields["thinking"] == {"type": "enabled", "budget_tokens": budget}
    assert fields["max_tokens"] == budget + rest
    assert fields.get("temperature") == (1.0 if temperature == 1 else None)
    assert ("temperature" in dropped) == (temperature is not None and temperature != 1)
    assert ("top_p" in dropped) == (top_p is not None and top_p < 0.95)
    assert "top_k" in dropped


def test_blocks_of_every_kind_are_read() -> None:
    conversation = asked(
        [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "look", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}},
                    {"type": "image", "source": {"type": "url", "url": "https://host/cat.png"}},
                    {
                        "type": "document",
                        "source": {"type": "text", "media_type": "text/plain", "data": "é"},
                        "context": "a note",
                    },
                    {"type": "document", "source": {"type": "url", "url": "https://host/a.pdf"}, "title": "a"},
                    {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "s"},
                    {"type": "redacted_thinking", "data": "d"},
                    {"type": "text", "text": "so", "citations": None},
                    {"type": "tool_use", "id": "t", "name": "f", "input": {"a": [1, 2.0]}},
                ],
            },
        ]
    )
    assert conversation.messages == (
        Message(
            "user",
            (
                Text("look", cache=True),
                Image(data="QUJD", media_type="image/png"),
                Image(url="https://host/cat.png"),
                Text("a note"),
                File(data=base64.b64encode("é".encode()).decode(), media_type="text/plain"),
                File(url="https://host/a.pdf", filename="a"),
                File(file_id="file_1"),
            ),
        ),
        Message(
            "assistant",
            (Thinking("hm", "s"), Thinking(redacted="d"), Text("so"), ToolCall("t", "f", '{"a": [1, 2.0]}')),
        ),
    )


def test_tool_results_are_messages_of_their_own() -> None:
    conversation = asked(
        [
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "a", "content": "1"},
                    {
                        "type": "tool_result",
                        "tool_use_id": "b",
                        "is_error": True,
                        "content": [
                            {"type": "text", "text": "2"},
                            {"type": "image", "source": {"type": "url", "url": "https://host/2"}},
                        ],
                    },
                    {"type": "tool_result", "tool_use_id": "c"},
                    {"type": "text", "text": "go on"},
                ],
            }
        ]
    )
    assert conversation.messages == (
        Message("tool", (ToolResult("a", (Text("1"),)),)),
        Message("tool", (ToolResult("b", (Text("2"), Image(url="https://host/2")), failed=True),)),
        Message("tool", (ToolResult("c", ()),)),
        Message("user", (Text("go on"),)),
    )


@pytest.mark.parametrize(
    ("fields", "settings"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, Settings(thinking_tokens=2000)),
        ({"thinking": {"type": "disabled"}}, Settings(thinking_tokens=0)),
        ({"thinking": {"type": "between_tools"}}, Settings(thinking_tokens=0)),
        ({"thinking": {"type": "adaptive"}}, Settings()),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}, Settings(effort="max")),
        ({"metadata": {"user_id": "u"}}, Settings(user="u")),
        ({"stop_sequences": ["x"], "top_k": 5}, Settings(stop=("x",), top_k=5)),
        ({"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}, Settings(parallel_tools=False)),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": {"a": 1}}}},
            Settings(format=OutputFormat("schema", schema={"a": 1})),
        ),
        (
            {"output_format": {"type": "json_schema", "schema": {"a": 1}}},
            Settings(format=OutputFormat("schema", schema={"a": 1})),
        ),
    ],
)
def test_settings_are_read(fields: dict[str, Any], settings: Settings) -> None:
    assert asked(**fields).settings == msgspec.structs.replace(settings, max_tokens=9)


def test_a_system_prompt_is_a_message() -> None:
    assert asked(system="be kind").messages[0] == Message("system", (Text("be kind"),))
    blocks = [{"type": "text", "text": "be kind", "cache_control": {"type": "ephemeral"}}]
    assert asked(system=blocks).messages[0] == Message("system", (Text("be kind", cache=True),))


def test_fields_without_a_place_are_named() -> None:
    assert asked(service_tier="auto", container="c", brand_new=1, top_k=None).unread == (
        "service_tier",
        "container",
        "brand_new",
    )


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 2**63}, "max_tokens"),
        ({"temperature": 1.5}, "temperature"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"tools": [{"name": "f"}]}, "tools[0].input_schema"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"thinking": {"type": "hard"}}, "thinking.type"),
    ],
)
def test_a_bad_field_is_refused_with_the_path_to_the_fault(fields: dict[str, object], param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        MESSAGES.read(json.dumps({"model": "m", "max_tokens": 9, "messages": [HELLO], **fields}).encode())
    assert refused.value.param == param


@pytest.mark.parametrize("missing", ["model", "max_tokens", "messages"])
def test_a_field_that_is_missing_is_named_at_the_door(missing: str) -> None:
    body = {"model": "m", "max_tokens": 9, "messages": [HELLO]}
    del body[missing]
    with pytest.raises(BadRequest) as refused:
        MESSAGES.ask(json.dumps(body).encode())
    assert refused.value.param == missing


def test_the_door_reads_what_the_road_needs() -> None:
    ask = MESSAGES.ask(b'{"model":"m","max_tokens":9,"messages":[{}],"stream":true,"new":1}')
    assert (ask.model, ask.stream, ask.counts) == ("m", True, True)
    assert "new" in ask.fields


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": [{"role": "user", "content": [{"type": "server_tool_use"}]}]}, "messages[0].content[0].type"),
        ({"tools": [{"type": "web_search_20260209", "name": "web_search"}]}, "tools[0]"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image", "source": {"type": "file", "file_id": "f"}}]}
                ]
            },
            "messages[0].content[0]",
        ),
    ],
)
def test_what_only_anthropic_runs_goes_to_another_target(fields: dict[str, object], param: str) -> None:
    with pytest.raises(WireNotServed) as refused:
        MESSAGES.read(json.dumps({"model": "m", "max_tokens": 9, "messages": [HELLO], **fields}).encode())
    assert refused.value.param == param


def test_system_and_developer_messages_stand_apart() -> None:
    fields = written(Message("system", (Text("a"),)), ASKED, Message("developer", (Text("b"),)))
    assert fields["system"] == [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert fields["messages"] == [HELLO]


def test_a_system_prompt_alone_is_asked_by_the_user() -> None:
    fields = written(Message("system", (Text("a"),)))
    assert fields["messages"] == [{"role": "user", "content": "a"}]
    assert "system" not in fields


def test_neighbours_of_one_role_merge_and_results_come_first() -> None:
    assert turns(
        Message("user", (Text("a"),)),
        Message("user", (Text("b"),)),
        Message("assistant", (ToolCall("x", "f", "{}"), ToolCall("y", "f", ""))),
        Message("user", (Text("wait"),)),
        Message("tool", (ToolResult("x", (Text("1"),)),)),
        Message("tool", (ToolResult("y", ()),)),
    ) == [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": id_, "name": "f", "input": {}} for id_ in "xy"],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "x", "content": "1"},
                {"type": "tool_result", "tool_use_id": "y"},
                {"type": "text", "text": "wait"},
            ],
        },
    ]


def test_signed_thinking_goes_back_untouched_and_unsigned_does_not() -> None:
    parts = (Thinking("hm", "s"), Thinking(redacted="d"), Thinking("mine"), Refusal("no"))
    assert turns(ASKED, Message("assistant", parts)) == [
        HELLO,
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "redacted_thinking", "data": "d"},
                {"type": "text", "text": "no"},
            ],
        },
    ]
    assert MESSAGES.write(Conversation("m", (ASKED, Message("assistant", parts)))).dropped == ("reasoning_content",)


def test_ids_that_anthropic_refuses_are_changed_alike_in_call_and_result() -> None:
    written = turns(
        Message("assistant", (ToolCall("functions.f:0", "f", "{}"),)),
        Message("tool", (ToolResult("functions.f:0", ()),)),
    )
    assert json.dumps(written).count('"functions_f_0"') == 2


def test_arguments_go_in_as_they_stand() -> None:
    message = Message("assistant", (ToolCall("c", "f", '{"b":1, "a":2.50}'),))
    assert b'"input":{"b":1, "a":2.50}' in encode(MESSAGES.write(Conversation("m", (message,))).fields)


@pytest.mark.parametrize(
    "part",
    [
        Audio("QUJD", "wav"),
        File(data="QUJD", media_type="application/zip"),
        File(data="not base64", media_type="text/plain"),
        ToolCall("c", "f", '{"a":'),
        ToolCall("c", "f", "[]"),
    ],
)
def test_what_anthropic_cannot_carry_goes_to_another_target(part: AnyPart) -> None:
    with pytest.raises(WireNotServed) as refused:
        turns(ASKED, Message("assistant" if isinstance(part, ToolCall) else "user", (part,)))
    assert (refused.value.param or "").startswith("messages[1].")


def test_text_around_a_gap_goes_to_another_target() -> None:
    with pytest.raises(WireNotServed):
        written(suffix="}")


@pytest.mark.parametrize(
    ("settings", "fields", "dropped"),
    [
        ({}, {"max_tokens": 4096}, ()),
        ({"max_tokens": 7, "stop": ("x",), "top_k": 3}, {"max_tokens": 7, "stop_sequences": ["x"], "top_k": 3}, ()),
        ({"temperature": 1.7}, {"max_tokens": 4096, "temperature": 1.0}, ("temperature",)),
        (
            {
                "seed": 1,
                "presence_penalty": 0.0,
                "frequency_penalty": 1.0,
                "top_logprobs": 1,
                "logprobs": True,
                "choices": 2,
            },
            {"max_tokens": 4096},
            ("seed", "presence_penalty", "frequency_penalty", "top_logprobs", "logprobs", "n"),
        ),
        ({"choices": 1, "logprobs": False}, {"max_tokens": 4096}, ()),
        ({"user": "u", "metadata": {"a": "b"}}, {"max_tokens": 4096, "metadata": {"user_id": "u"}}, ("metadata",)),
        ({"format": OutputFormat("json")}, {"max_tokens": 4096}, ("response_format",)),
        (
            {"format": OutputFormat("schema", "n", {"type": "object"}, True)},
            {"max_tokens": 4096, "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
            (),
        ),
        ({"parallel_tools": False}, {"max_tokens": 4096}, ("tool_choice",)),
        ({"effort": "none"}, {"max_tokens": 4096, "thinking": {"type": "disabled"}}, ()),
        ({"effort": "low"}, {"max_tokens": 6144, "thinking": {"type": "enabled", "budget_tokens": 2048}}, ()),
        ({"effort": "heroic"}, {"max_tokens": 4096}, ("reasoning_effort",)),
        (
            {"effort": "high", "max_tokens": 3000},
            {"max_tokens": 3000, "thinking": {"type": "enabled", "budget_tokens": 1500}},
            (),
        ),
        ({"effort": "low", "max_tokens": 1024}, {"max_tokens": 1024}, ("reasoning_effort",)),
        (
            {"thinking_tokens": 10, "max_tokens": 1025},
            {"max_tokens": 1025, "thinking": {"type": "enabled", "budget_tokens": 1024}},
            (),
        ),
    ],
)
def test_settings_are_written_or_named(
    settings: dict[str, object], fields: dict[str, object], dropped: tuple[str, ...]
) -> None:
    assert settled(**settings) == (fields, dropped)


@pytest.mark.parametrize(
    ("choice", "parallel", "written_choice"),
    [
        (None, None, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice("required"), None, {"type": "any"}),
        (ToolChoice("tool", "f"), False, {"type": "tool", "name": "f", "disable_parallel_tool_use": True}),
        (ToolChoice("none"), False, {"type": "none"}),
    ],
)
def test_tool_choices_are_written(choice: ToolChoice | None, parallel: bool | None, written_choice: object) -> None:
    fields = written(tools=(TOOL,), tool_choice=choice, settings=Settings(parallel_tools=parallel))
    assert fields.get("tool_choice") == written_choice


def test_a_tool_always_has_an_object_schema() -> None:
    assert written(tools=(Tool("f"), Tool("g", strict=False, parameters={"properties": {"a": {}}})))["tools"] == [
        {"name": "f", "input_schema": {"type": "object", "properties": {}}},
        {"name": "g", "input_schema": {"type": "object", "properties": {"a": {}}}},
    ]


def thinks(*messages: Message, **changes: object) -> bool:
    settings = Settings(effort="low")
    return "thinking" in written(ASKED, *messages, tools=(TOOL,), settings=settings, **changes)


def test_no_thinking_is_asked_where_anthropic_would_refuse_it() -> None:
    call, result = ToolCall("c", "f", "{}"), Message("tool", (ToolResult("c", ()),))
    assert thinks()
    assert not thinks(tool_choice=ToolChoice("required"))
    assert not thinks(tool_choice=ToolChoice("tool", "f"))
    assert not thinks(Message("assistant", (call,)), result)
    assert not thinks(Message("assistant", (Thinking("hm"), call)), result)
    assert thinks(Message("assistant", (Thinking("hm", "s"), call)), result)
    assert thinks(Message("assistant", (call,)), result, Message("assistant", (Text("done"),)), ASKED)
