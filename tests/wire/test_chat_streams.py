from __future__ import annotations

import json

import pytest
from hypothesis import given

from headgate.errors import StreamCut, UpstreamFailed, UpstreamProtocolError, UpstreamRateLimited
from headgate.types import Usage
from headgate.wire import sse
from headgate.wire.base import Ask
from headgate.wire.chat import CHAT
from headgate.wire.conversation import (
    AnyEvent,
    ArgumentsDelta,
    Choice,
    Citation,
    CitationAdded,
    Counted,
    RefusalDelta,
    Reply,
    Started,
    Stopped,
    Text,
    TextDelta,
    ThinkingDelta,
    ToolCallStarted,
)
from tests.wire.shapes import assert_chat_chunk
from tests.wire.strategies import chat_replies, cut_lists, events_of, merged, messages_replies, split

COUNTING = Ask("m", b"", {}, stream=True, counts=True)
SILENT = Ask("m", b"", {}, stream=True)


def written(events: list[AnyEvent], ask: Ask = COUNTING) -> bytes:
    writer = CHAT.writer(ask)
    return writer.write(events) + writer.finish()


def read(chunks: list[bytes]) -> list[AnyEvent]:
    reader = CHAT.reader()
    events = [event for chunk in chunks for event in reader.feed(chunk)] + reader.finish()
    assert reader.failure is None
    return events


def chunk(delta: object = None, finish_reason: str | None = None, **fields: object) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish_reason}]
    body = {"id": "1", "object": "chat.completion.chunk", "created": 7, "model": "m", "choices": choices, **fields}
    return sse.write(json.dumps(body).encode())


def read_deltas(*deltas: object) -> list[AnyEvent]:
    """The events of a stream, without its start and end."""
    events = read([*map(chunk, deltas), chunk({}, "stop"), sse.DONE])
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Stopped)
    return events[1:-1]


def call(**fields: object) -> dict[str, object]:
    return {"tool_calls": [fields]}


@given(chat_replies)
def test_what_is_written_is_read(reply: Reply) -> None:
    events = events_of(reply)
    assert merged(read([written(events)])) == merged(events)


@given(chat_replies, cut_lists)
def test_events_are_the_same_for_every_split(reply: Reply, cuts: list[int]) -> None:
    stream = written(events_of(reply))
    assert read(split(stream, cuts)) == read([stream])


@given(chat_replies | messages_replies)
def test_every_chunk_is_openai_s_own_shape(reply: Reply) -> None:
    found = sse.read(written(events_of(reply)))
    assert found.pop() == ("", b"[DONE]")
    for _, data in found:
        assert_chat_chunk(data)


@given(chat_replies)
def test_a_stream_counts_as_the_whole_answer_does(reply: Reply) -> None:
    counted = [event.usage for event in read([written(events_of(reply))]) if isinstance(event, Counted)]
    whole = CHAT.read_reply(CHAT.write_reply(reply)).usage
    assert counted == ([] if whole is None else [whole])


def test_the_first_chunk_says_the_role_and_only_the_first_of_a_call_its_id() -> None:
    events: list[AnyEvent] = [
        Started("1", "m", 7),
        ToolCallStarted(0, "c", "f"),
        ArgumentsDelta(0, "{"),
        ArgumentsDelta(0, "}"),
        Stopped("tool_calls"),
    ]
    deltas = [json.loads(data)["choices"][0]["delta"] for _, data in sse.read(written(events, SILENT))[:-1]]
    assert deltas == [
        {"content": "", "role": "assistant"},
        call(index=0, id="c", type="function", function={"name": "f", "arguments": ""}),
        call(index=0, function={"arguments": "{"}),
        call(index=0, function={"arguments": "}"}),
        {},
    ]


def test_usage_is_a_last_chunk_without_choices_only_where_it_was_asked_for() -> None:
    events: list[AnyEvent] = [
        Started("1", "m", 7),
        TextDelta("x"),
        Counted(Usage(1, 2)),
        Stopped("stop"),
        Counted(Usage(3, 4)),
    ]
    chunks = [json.loads(data) for _, data in sse.read(written(events))[:-1]]
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * 3
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    assert b'"usage"' not in written(events, SILENT)


def test_no_end_mark_is_written_before_the_end() -> None:
    assert b"[DONE]" not in CHAT.writer(SILENT).write([Started("1", "m"), TextDelta("x"), Stopped("stop")])


def test_a_signed_block_is_said_whole_when_it_closes() -> None:
    first = [ThinkingDelta("a"), ThinkingDelta("b"), ThinkingDelta(signature="s")]
    thoughts = [*first, ThinkingDelta(redacted="d"), ThinkingDelta("c"), ThinkingDelta(signature="t")]
    deltas = [
        json.loads(data)["choices"][0]["delta"]
        for _, data in sse.read(written([Started("1", "m"), *thoughts, Stopped("stop")]))[1:-2]
    ]
    assert deltas == [
        {"reasoning_content": "a"},
        {"reasoning_content": "b"},
        {"reasoning_details": [{"type": "reasoning.text", "text": "ab", "signature": "s", "index": 0}]},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "d", "index": 1}]},
        {"reasoning_content": "c"},
        {"reasoning_details": [{"type": "reasoning.text", "text": "c", "signature": "t", "index": 2}]},
    ]


def test_each_choice_has_its_own_role_and_end() -> None:
    reply = Reply("1", "m", tuple(Choice((Text(text),), "stop") for text in "abc"))
    chunks = [json.loads(data)["choices"] for _, data in sse.read(written(events_of(reply), SILENT))[:-1]]
    for index in range(3):
        deltas = [choice for [choice] in chunks if choice["index"] == index]
        assert [choice["delta"].get("role") for choice in deltas] == ["assistant", None, None]
        assert [choice["finish_reason"] for choice in deltas] == [None, None, "stop"]


@pytest.mark.parametrize(
    ("deltas", "events"),
    [
        ([{"role": "assistant", "content": ""}, {}, {"content": None}, {"content": "x"}], [TextDelta("x")]),
        ([{"content": None, "refusal": "no"}], [RefusalDelta("no")]),
        ([{"reasoning_content": "hm", "content": None}], [ThinkingDelta("hm")]),
        ([{"reasoning": "hm", "content": ""}], [ThinkingDelta("hm")]),
        (
            [{"reasoning": "hm", "reasoning_details": [{"type": "reasoning.text", "text": "hm", "index": 0}]}],
            [ThinkingDelta("hm")],
        ),
        (
            [
                {"reasoning_details": [{"type": "reasoning.text", "text": "hm"}]},
                {"reasoning_details": [{"type": "reasoning.text", "signature": "s"}]},
                {"reasoning_details": [{"type": "reasoning.encrypted", "data": "d"}]},
            ],
            [ThinkingDelta("hm"), ThinkingDelta(signature="s"), ThinkingDelta(redacted="d")],
        ),
        (
            [
                call(index=0, id="a", type="function", function={"name": "f", "arguments": ""}),
                call(index=0, function={"arguments": "{}"}),
                call(index=1, id="b", type="function", function={"name": "g", "arguments": "{}"}),
            ],
            [
                ToolCallStarted(0, "a", "f"),
                ArgumentsDelta(0, "{}"),
                ToolCallStarted(1, "b", "g"),
                ArgumentsDelta(1, "{}"),
            ],
        ),
        (
            [
                call(index=1, id="a", function={"name": "f", "arguments": "1"}),
                call(index=1, id="a", function={"arguments": "2"}),
                call(index=1, id="a", function={"name": "f", "arguments": "3"}),
            ],
            [ToolCallStarted(0, "a", "f"), *(ArgumentsDelta(0, text) for text in "123")],
        ),
        (
            [call(index=0, id=name, function={"name": name, "arguments": name}) for name in "ab"],
            [
                ToolCallStarted(0, "a", "a"),
                ArgumentsDelta(0, "a"),
                ToolCallStarted(1, "b", "b"),
                ArgumentsDelta(1, "b"),
            ],
        ),
        (
            [
                call(id="a", function={"name": "f", "arguments": "1"}),
                call(function={"arguments": "2"}),
                call(id="b", function={"name": "g"}),
                call(function={"arguments": "3"}),
            ],
            [
                ToolCallStarted(0, "a", "f"),
                ArgumentsDelta(0, "1"),
                ArgumentsDelta(0, "2"),
                ToolCallStarted(1, "b", "g"),
                ArgumentsDelta(1, "3"),
            ],
        ),
        (
            [{"function_call": {"name": "f", "arguments": ""}}, {"function_call": {"arguments": "{}"}}],
            [ToolCallStarted(0, "call_1_0", "f"), ArgumentsDelta(0, "{}")],
        ),
        (
            [{"annotations": [{"type": "url_citation", "url_citation": {"url": "u", "title": "t"}}]}],
            [CitationAdded(Citation("u", "t"))],
        ),
    ],
)
def test_deltas_are_read_as_providers_send_them(deltas: list[object], events: list[AnyEvent]) -> None:
    assert read_deltas(*deltas) == events


USAGE = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}


@pytest.mark.parametrize(
    "stream",
    [
        [chunk({"content": "x"}, usage=None), chunk({}, "stop", usage=None), chunk(usage=USAGE)],
        [chunk({"content": "x"}), chunk({}, "stop", usage=USAGE)],
        [chunk({"content": "x"}, "stop", usage=USAGE), chunk(usage=USAGE)],
        [chunk({"content": "x"}, "stop"), chunk({"content": ""}, "stop", usage=USAGE)],
        [chunk(model="", id="", prompt_filter_results=[]), chunk({"content": "x"}), chunk({}, "stop", usage=USAGE)],
        [b": OPENROUTER PROCESSING\n\n", b"data:\n\n", chunk({"content": "x"}), chunk({}, "stop", usage=USAGE)],
    ],
    ids=["own chunk", "last chunk", "both", "second finish", "a first chunk of nothing", "comments and empty frames"],
)
def test_usage_is_found_wherever_it_comes(stream: list[bytes]) -> None:
    events = merged(read([*stream, sse.DONE]))
    assert events == [Started("1", "m", 7), TextDelta("x"), Stopped("stop"), Counted(Usage(3, 1))]


def test_a_forced_call_stops_for_its_call() -> None:
    start = call(index=0, id="a", function={"name": "f", "arguments": "{}"})
    assert read([chunk(start), chunk({}, "stop"), sse.DONE])[-1] == Stopped("tool_calls")


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_every_cut_of_a_stream_gives_the_same_events(line_end: bytes) -> None:
    stream = b"\xef\xbb\xbf" + b"".join(
        [
            b": hello\n\n",
            chunk({"role": "assistant", "content": ""}),
            sse.write('{"choices":[{"delta":{"content":"é😀"}}]}'.encode()),
            chunk({}, "stop"),
            chunk(usage=USAGE),
            sse.DONE,
        ]
    ).replace(b"\n", line_end)
    whole = read([stream])
    assert whole[1:] == [TextDelta("é😀"), Stopped("stop"), Counted(Usage(3, 1))]
    for cut in range(len(stream)):
        assert read([stream[:cut], stream[cut:]]) == whole
    assert read([stream[at : at + 1] for at in range(len(stream))]) == whole


def test_a_cut_stream_is_found_at_every_byte() -> None:
    stream = chunk({"content": "x"}) + chunk({"content": "y"}) + chunk({}, "stop")
    for end in range(len(stream) - 2):
        reader = CHAT.reader()
        reader.feed(stream[:end])
        reader.finish()
        assert isinstance(reader.failure, StreamCut), stream[:end]


@pytest.mark.parametrize("end", [b"data: [DONE]\n\n", b"data: [DONE]", b"", b"data: [DO"])
def test_a_finish_reason_or_the_end_mark_ends_a_stream(end: bytes) -> None:
    assert read([chunk({"content": "x"}), chunk({}, "length") + end])[-1] == Stopped("length")


def test_the_end_mark_is_enough() -> None:
    assert read([chunk({"content": "x"}), sse.DONE])[-1] == Stopped("stop")


@pytest.mark.parametrize(
    ("frame", "failure"),
    [
        (chunk(error={"message": "boom", "code": 502}), UpstreamFailed),
        (chunk({"content": ""}, "error", error={"message": "boom"}), UpstreamFailed),
        (chunk({"content": ""}, "error"), UpstreamFailed),
        (chunk(error={"message": "slow", "code": 429}), UpstreamRateLimited),
        (b"data: {oops}\n\n", UpstreamProtocolError),
        (b"data: []\n\n", UpstreamProtocolError),
        (b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n', UpstreamProtocolError),
    ],
)
def test_a_failure_in_the_stream_ends_it_after_what_came_before(frame: bytes, failure: type[Exception]) -> None:
    reader = CHAT.reader()
    events = reader.feed(chunk({"content": "x"}) + frame + chunk({"content": "y"}))
    assert events == [Started("1", "m", 7), TextDelta("x")]
    assert type(reader.failure) is failure
    assert reader.feed(chunk({"content": "z"})) == []
    assert reader.finish() == []


def test_an_empty_stream_is_no_answer() -> None:
    reader = CHAT.reader()
    assert reader.feed(sse.DONE) == []
    assert isinstance(reader.failure, UpstreamProtocolError)
