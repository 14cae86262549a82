from __future__ import annotations

import json

import pytest
from hypothesis import given

from headgate.errors import UpstreamFailed, UpstreamProtocolError, UpstreamRateLimited
from headgate.types import Usage
from headgate.wire.chat import CHAT
from headgate.wire.conversation import Choice, Citation, Refusal, Reply, Text, Thinking, ToolCall
from tests.wire.shapes import assert_chat_completion
from tests.wire.strategies import chat_replies, messages_replies


def answer(message: dict[str, object], finish_reason: str | None = "stop", **fields: object) -> Reply:
    choices = [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish_reason}]
    return CHAT.read_reply(json.dumps({"id": "1", "model": "m", "choices": choices, **fields}).encode())


def call(**fields: object) -> dict[str, object]:
    return {"type": "function", "function": {"name": "f", "arguments": "{}"}, **fields}


@given(chat_replies)
def test_what_is_written_is_read(reply: Reply) -> None:
    assert CHAT.read_reply(CHAT.write_reply(reply)) == reply


@given(chat_replies | messages_replies)
def test_what_is_written_is_openai_s_own_shape(reply: Reply) -> None:
    assert_chat_completion(CHAT.write_reply(reply))


def test_an_id_and_a_time_are_made_where_there_is_none() -> None:
    body = CHAT.write_reply(Reply("", "m", (Choice((Text("x"),), "stop"),)))
    completion = assert_chat_completion(body)
    assert completion.id.startswith("chatcmpl-")
    assert completion.created > 1_700_000_000


def test_an_answer_of_nothing_but_calls_has_null_content() -> None:
    completion = assert_chat_completion(CHAT.write_reply(Reply("1", "m", (Choice((ToolCall("c", "f", "{"),)),))))
    assert completion.choices[0].message.content is None


def test_a_citation_stands_for_the_text_before_it() -> None:
    parts = (
        Text("The sky "),
        Text("is blue."),
        Citation("https://a"),
        Citation("https://b"),
        Text(" So"),
        Citation("c"),
    )
    completion = assert_chat_completion(CHAT.write_reply(Reply("1", "m", (Choice(parts),))))
    annotations = completion.choices[0].message.annotations or []
    spans = [(note.url_citation.start_index, note.url_citation.end_index) for note in annotations]
    assert spans == [(0, 16), (0, 16), (16, 19)]


def test_a_citation_of_a_document_has_no_place_in_chat() -> None:
    completion = assert_chat_completion(CHAT.write_reply(Reply("1", "m", (Choice((Text("x"), Citation(title="t"))),))))
    assert completion.choices[0].message.annotations is None


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        ({"content": None}, ()),
        ({"content": ""}, ()),
        ({"content": "x", "refusal": None, "annotations": [], "audio": None}, (Text("x"),)),
        ({"content": None, "refusal": "no"}, (Refusal("no"),)),
        ({"content": "x", "reasoning_content": "hm"}, (Thinking("hm"), Text("x"))),
        ({"content": "x", "reasoning": "hm"}, (Thinking("hm"), Text("x"))),
        (
            {"content": None, "tool_calls": [call(id="a"), call(id="b")]},
            (ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}")),
        ),
        ({"tool_calls": [call(id=""), call()]}, (ToolCall("call_1_0", "f", "{}"), ToolCall("call_1_1", "f", "{}"))),
        ({"function_call": {"name": "f", "arguments": "{}"}}, (ToolCall("call_1_0", "f", "{}"),)),
        (
            {
                "content": "x",
                "annotations": [{"type": "url_citation", "url_citation": {"url": "u", "title": "t", "content": "q"}}],
            },
            (Text("x"), Citation("u", "t", "q")),
        ),
    ],
)
def test_messages_are_read_as_providers_send_them(message: dict[str, object], parts: tuple[object, ...]) -> None:
    assert answer(message).choices[0].parts == parts


@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("tool_calls", "tool_calls"),
        ("function_call", "tool_calls"),
        ("eos_token", "stop"),
        (None, "stop"),
    ],
)
def test_finish_reasons_are_read(reason: str | None, stop: str) -> None:
    assert answer({"content": "x"}, reason).choices[0].stop == stop


def test_a_forced_call_stops_for_its_call() -> None:
    assert answer({"tool_calls": [call(id="a")]}, "stop").choices[0].stop == "tool_calls"


def test_choices_come_in_their_own_order() -> None:
    choices = [{"index": index, "message": {"content": str(index)}, "finish_reason": "stop"} for index in (1, 0)]
    reply = CHAT.read_reply(json.dumps({"choices": choices}).encode())
    assert [choice.parts for choice in reply.choices] == [(Text("0"),), (Text("1"),)]


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        (None, None),
        ({"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}, Usage(9, 3)),
        ({"prompt_tokens": 9, "completion_tokens": 3, "prompt_cache_hit_tokens": 4}, Usage(9, 3, cached=4)),
        ({"prompt_tokens": 9, "completion_tokens": 3, "cost": 0.0015}, Usage(9, 3, cost_nano=1_500_000)),
    ],
)
def test_usage_is_read_in_each_dialect(usage: object, read: Usage | None) -> None:
    assert answer({"content": "x"}, usage=usage).usage == read


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        (b"<html>", UpstreamProtocolError),
        (b"{}", UpstreamProtocolError),
        (b'{"choices":[]}', UpstreamProtocolError),
        (b'{"choices":[{"message":{"content":5}}]}', UpstreamProtocolError),
        (b'{"choices":[{"message":{"content":"\xff"}}]}', UpstreamProtocolError),
        (b'{"error":{"message":"boom"}}', UpstreamFailed),
        (b'{"error":{"message":"slow down","code":429}}', UpstreamRateLimited),
    ],
)
def test_what_is_no_answer_is_a_failure(body: bytes, failure: type[Exception]) -> None:
    with pytest.raises(failure):
        CHAT.read_reply(body)
