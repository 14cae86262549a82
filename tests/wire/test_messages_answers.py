from __future__ import annotations

import json

import pytest
from hypothesis import given

from headgate.errors import (
    BadRequest,
    BodyTooLarge,
    HeadgateError,
    InternalError,
    JournalUnavailable,
    ModelNotFound,
    NotAllowed,
    NotAuthenticated,
    UpstreamFailed,
    UpstreamProtocolError,
    UpstreamRateLimited,
    UpstreamTimeout,
)
from headgate.types import Usage
from headgate.wire import sse
from headgate.wire.conversation import Choice, Citation, Refusal, Reply, Text, Thinking, ToolCall
from headgate.wire.messages import MESSAGES
from tests.wire.shapes import assert_anthropic_message
from tests.wire.strategies import chat_replies, messages_replies


def answer(*blocks: dict[str, object], **fields: object) -> Reply:
    body = {"id": "1", "type": "message", "role": "assistant", "model": "m", "content": blocks, **fields}
    return MESSAGES.read_reply(json.dumps(body).encode())


@given(messages_replies)
def test_what_is_written_is_read(reply: Reply) -> None:
    assert MESSAGES.read_reply(MESSAGES.write_reply(reply)) == reply


@given(messages_replies | chat_replies)
def test_what_is_written_is_anthropic_s_own_shape(reply: Reply) -> None:
    assert_anthropic_message(MESSAGES.write_reply(reply))


def test_blocks_of_every_kind_are_read_and_unknown_ones_passed_over() -> None:
    reply = answer(
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
        {"type": "server_tool_use", "id": "x", "name": "web_search", "input": {}},
        {"type": "a_block_of_tomorrow"},
        {
            "type": "text",
            "text": "so",
            "citations": [
                {"type": "web_search_result_location", "url": "u", "title": "t", "cited_text": "q"},
                {"type": "char_location", "document_title": "d", "cited_text": "r", "document_index": 0},
            ],
        },
        {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
    )
    assert reply.choices[0].parts == (
        Thinking("hm", "s"),
        Thinking(redacted="d"),
        Text("so"),
        Citation("u", "t", "q"),
        Citation("", "d", "r"),
        ToolCall("t", "f", '{"a": 1}'),
    )


@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("pause_turn", "pause"),
        ("refusal", "content_filter"),
        ("a_reason_of_tomorrow", "stop"),
    ],
)
def test_stop_reasons_are_read(reason: str, stop: str) -> None:
    assert answer(stop_reason=reason).choices[0].stop == stop


def test_a_refusal_says_why() -> None:
    details = {"type": "refusal", "category": "bio", "explanation": "no"}
    assert answer(stop_reason="refusal", stop_details=details).choices == (Choice((Refusal("no"),), "content_filter"),)


def test_a_stop_sequence_is_kept() -> None:
    assert answer(stop_reason="stop_sequence", stop_sequence="x").choices == (Choice((), "stop", "x"),)


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        (None, None),
        ({"input_tokens": 0, "output_tokens": 0}, Usage()),
        (
            {
                "input_tokens": 5,
                "cache_creation_input_tokens": 7,
                "cache_read_input_tokens": 11,
                "output_tokens": 3,
                "output_tokens_details": {"thinking_tokens": 2},
                "service_tier": "standard",
            },
            Usage(prompt=23, completion=3, cached=11, cache_written=7, reasoning=2),
        ),
        ({"input_tokens": 5, "output_tokens": 3, "cache_read_input_tokens": None}, Usage(5, 3)),
    ],
)
def test_our_prompt_tokens_hold_what_the_cache_gave_and_took(usage: object, read: Usage | None) -> None:
    assert answer(usage=usage).usage == read


def test_arguments_that_are_no_object_are_not_lost() -> None:
    body = MESSAGES.write_reply(Reply("1", "m", (Choice((ToolCall("c", "f", '{"a":'),), "tool_calls"),)))
    [block] = assert_anthropic_message(body).content
    assert block.type == "tool_use"
    assert block.input == {"arguments": '{"a":'}


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        (b"<html>", UpstreamProtocolError),
        (b"{}", UpstreamProtocolError),
        (b'{"type":"message","content":"x"}', UpstreamProtocolError),
        (b'{"type":"error","error":{"type":"api_error","message":"boom"}}', UpstreamFailed),
        (b'{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}', UpstreamRateLimited),
    ],
)
def test_what_is_no_answer_is_a_failure(body: bytes, failure: type[Exception]) -> None:
    with pytest.raises(failure):
        MESSAGES.look(body)
    with pytest.raises(failure):
        MESSAGES.read_reply(body)


def test_a_look_finds_usage_and_model() -> None:
    look = MESSAGES.look(b'{"type":"message","model":"m","content":[],"usage":{"input_tokens":2,"output_tokens":1}}')
    assert (look.usage, look.model) == (Usage(2, 1), "m")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (BadRequest("x"), "invalid_request_error"),
        (NotAuthenticated("x"), "authentication_error"),
        (NotAllowed("x"), "permission_error"),
        (ModelNotFound("x"), "not_found_error"),
        (BodyTooLarge("x"), "request_too_large"),
        (UpstreamRateLimited("x"), "rate_limit_error"),
        (UpstreamTimeout("x"), "timeout_error"),
        (UpstreamFailed("x", upstream_status=529), "overloaded_error"),
        (UpstreamFailed("x", upstream_status=500), "api_error"),
        (JournalUnavailable("x"), "overloaded_error"),
        (InternalError("x"), "api_error"),
    ],
)
def test_errors_are_anthropic_s(error: HeadgateError, kind: str) -> None:
    body = {"type": "error", "error": {"type": kind, "message": "x"}, "request_id": "r"}
    assert json.loads(MESSAGES.error(error, "r")) == body
    [(name, data)] = sse.read(MESSAGES.error_event(error, "r"))
    assert (name, json.loads(data)) == ("error", body)
