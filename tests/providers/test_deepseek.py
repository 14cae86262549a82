from __future__ import annotations

from typing import Any

import msgspec
import pytest

from headgate.errors import UpstreamRateLimited
from headgate.providers.deepseek import DeepSeek

from .configured import configured, fields, plain

THOUGHT = {"role": "assistant", "content": "4", "reasoning_content": "2 and 2"}
CALL: dict[str, Any] = {
    "role": "assistant",
    "content": None,
    "reasoning_content": "I need the date",
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "date", "arguments": "{}"}}],
}
TOOLS = [{"type": "function", "function": {"name": "date"}}]


def sent(**body: object) -> list[dict[str, object]]:
    opened = fields(**body)
    assert configured(DeepSeek).adjust("chat", "deepseek-chat", opened) == ()
    messages: list[dict[str, object]] = plain(opened)["messages"]
    return messages


def test_max_completion_tokens_is_called_max_tokens() -> None:
    body = fields(messages=[], max_completion_tokens=7)
    configured(DeepSeek).adjust("chat", "deepseek-chat", body)
    assert plain(body) == {"messages": [], "max_tokens": 7}


def test_past_reasoning_is_not_sent_back() -> None:
    user = {"role": "user", "content": "2+2?"}
    assert sent(messages=[user, THOUGHT, user]) == [user, {"role": "assistant", "content": "4"}, user]


def test_past_reasoning_goes_back_where_tools_were_called_or_may_be() -> None:
    user = {"role": "user", "content": "what day?"}
    result = {"role": "tool", "tool_call_id": "c1", "content": "Monday"}
    called = [user, CALL, result]
    assert sent(messages=called) == called
    assert sent(messages=[user, THOUGHT, user], tools=TOOLS) == [user, THOUGHT, user]


def test_past_reasoning_never_goes_back_when_thinking_is_off() -> None:
    (message,) = sent(messages=[CALL], tools=TOOLS, thinking={"type": "disabled"})
    assert "reasoning_content" not in message
    assert message["tool_calls"] == CALL["tool_calls"]


def test_messages_without_past_reasoning_are_not_opened() -> None:
    raw = msgspec.Raw(b'[{"role" : "user",  "content":"spaces stay"}]')
    body = {"messages": raw}
    configured(DeepSeek).adjust("chat", "deepseek-chat", body)
    assert body["messages"] is raw


def test_numbers_and_strings_of_opened_messages_stay_byte_for_byte() -> None:
    body = {"messages": msgspec.Raw(b'[{"reasoning_content":"x","content":"\\u00e9","n":1.10}]')}
    configured(DeepSeek).adjust("chat", "deepseek-chat", body)
    assert bytes(body["messages"]) == b'[{"content":"\\u00e9","n":1.10}]'


@pytest.mark.parametrize("messages", [b'"reasoning_content"', b'{"reasoning_content":1}', b'[1,"reasoning_content"]'])
def test_messages_of_no_known_shape_are_left_for_the_service_to_refuse(messages: bytes) -> None:
    body = {"messages": msgspec.Raw(messages)}
    configured(DeepSeek).adjust("chat", "deepseek-chat", body)
    assert bytes(body["messages"]) == messages


def test_an_empty_account_rests() -> None:
    error = configured(DeepSeek).failure(
        402, {}, b'{"error":{"message":"Insufficient Balance","type":"unknown_error"}}'
    )
    assert type(error) is UpstreamRateLimited
    assert error.code_said == "insufficient_quota"
