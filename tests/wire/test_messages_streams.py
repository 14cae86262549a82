from __future__ import annotations

import json

import pytest
from hypothesis import given

from headgate.errors import StreamCut, UpstreamFailed, UpstreamProtocolError, UpstreamRateLimited
from headgate.types import Usage
from headgate.wire import sse
from headgate.wire.base import Ask
from headgate.wire.conversation import (
    AnyEvent,
    ArgumentsDelta,
    Citation,
    CitationAdded,
    Counted,
    RefusalDelta,
    Reply,
    Started,
    Stopped,
    TextDelta,
    ThinkingDelta,
    ToolCallStarted,
)
from headgate.wire.messages import MESSAGES
from tests.wire.shapes import assert_anthropic_event
from tests.wire.strategies import chat_replies, cut_lists, events_of, merged, messages_replies, split

ASK = Ask("asked", b"", {}, stream=True, counts=True)


def written(events: list[AnyEvent]) -> bytes:
    writer = MESSAGES.writer(ASK)
    return writer.write(events) + writer.finish()


def read(chunks: list[bytes]) -> list[AnyEvent]:
    reader = MESSAGES.reader()
    events = [event for chunk in chunks for event in reader.feed(chunk)] + reader.finish()
    assert reader.failure is None
    return events


def event(type_: str, **fields: object) -> bytes:
    return sse.write(json.dumps({"type": type_, **fields}).encode(), type_)


def delta(index: int, type_: str, **fields: object) -> bytes:
    return event("content_block_delta", index=index, delta={"type": type_, **fields})


def block(index: int, start: dict[str, object], *deltas: bytes) -> bytes:
    opening = event("content_block_start", index=index, content_block=start)
    return opening + b"".join(deltas) + event("content_block_stop", index=index)


START = event(
    "message_start",
    message={
        "id": "1",
        "type": "message",
        "model": "m",
        "content": [],
        "usage": {"input_tokens": 9, "output_tokens": 1},
    },
)
END = event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 5})
STOP = event("message_stop")
HELLO = block(0, {"type": "text", "text": ""}, delta(0, "text_delta", text="hé"), delta(0, "text_delta", text="llo"))


def read_blocks(*blocks: bytes) -> list[AnyEvent]:
    """The events of a stream, without its start and end."""
    events = read([START, *blocks, END, STOP])
    assert events[:2] == [Started("1", "m"), Counted(Usage(9, 1, estimated=True))]
    assert events[-2:] == [Stopped("stop"), Counted(Usage(9, 5))]
    return events[2:-2]


@given(messages_replies)
def test_what_is_written_is_read(reply: Reply) -> None:
    events = events_of(reply)
    read_back = merged(read([written(events)]))
    expected = merged(events)
    if reply.usage is None:
        expected.append(Counted(Usage()))
    assert read_back == expected


@given(messages_replies, cut_lists)
def test_events_are_the_same_for_every_split(reply: Reply, cuts: list[int]) -> None:
    stream = written(events_of(reply))
    assert read(split(stream, cuts)) == read([stream])


@given(messages_replies | chat_replies)
def test_every_event_is_anthropic_s_own_shape_under_its_name(reply: Reply) -> None:
    for name, data in sse.read(written(events_of(reply))):
        assert assert_anthropic_event(data).type == name


@given(messages_replies | chat_replies)
def test_blocks_open_and_close_one_after_another(reply: Reply) -> None:
    names = [name for name, _ in sse.read(written(events_of(reply)))]
    assert names[0] == "message_start"
    assert names[-2:] == ["message_delta", "message_stop"]
    indexes = []
    open_block: int | None = None
    for name, data in sse.read(written(events_of(reply)))[1:-2]:
        index = json.loads(data)["index"]
        if name == "content_block_start":
            assert open_block is None
            open_block = index
            indexes.append(index)
        assert open_block == index
        if name == "content_block_stop":
            open_block = None
    assert open_block is None
    assert indexes == list(range(len(indexes)))


@given(messages_replies)
def test_a_stream_counts_as_the_whole_answer_does(reply: Reply) -> None:
    counted = [event.usage for event in read([written(events_of(reply))]) if isinstance(event, Counted)]
    assert counted[-1] == MESSAGES.read_reply(MESSAGES.write_reply(reply)).usage


def test_the_model_that_was_asked_for_stands_in_for_one_unsaid() -> None:
    [(_, start), *_] = sse.read(written([Started("1", ""), Stopped("stop")]))
    assert json.loads(start)["message"]["model"] == "asked"


def test_other_choices_are_left_out() -> None:
    events: list[AnyEvent] = [
        Started("1", "m"),
        TextDelta("a"),
        TextDelta("b", 1),
        Stopped("length", 1),
        Stopped("stop"),
    ]
    assert merged(read([written(events)]))[1:3] == [TextDelta("a"), Stopped("stop")]


@pytest.mark.parametrize(
    ("blocks", "events"),
    [
        ([HELLO], [TextDelta("hé"), TextDelta("llo")]),
        ([event("ping"), HELLO, event("an_event_of_tomorrow", index=3)], [TextDelta("hé"), TextDelta("llo")]),
        (
            [
                block(
                    0,
                    {"type": "thinking", "thinking": "", "signature": ""},
                    delta(0, "thinking_delta", thinking="hm"),
                    delta(0, "signature_delta", signature="s1"),
                    delta(0, "signature_delta", signature="s2"),
                ),
                block(1, {"type": "redacted_thinking", "data": "d"}),
            ],
            [ThinkingDelta("hm"), ThinkingDelta(signature="s1s2"), ThinkingDelta(redacted="d")],
        ),
        (
            [block(0, {"type": "thinking", "thinking": "hm", "signature": "s"})],
            [ThinkingDelta("hm"), ThinkingDelta(signature="s")],
        ),
        (
            [
                block(
                    0,
                    {"type": "tool_use", "id": "a", "name": "f", "input": {}},
                    delta(0, "input_json_delta", partial_json=""),
                    delta(0, "input_json_delta", partial_json='{"x":'),
                    delta(0, "input_json_delta", partial_json="1}"),
                ),
                block(1, {"type": "tool_use", "id": "b", "name": "g", "input": {}}),
                block(2, {"type": "tool_use", "id": "c", "name": "h", "input": {"y": 2}}),
            ],
            [
                ToolCallStarted(0, "a", "f"),
                ArgumentsDelta(0, '{"x":'),
                ArgumentsDelta(0, "1}"),
                ToolCallStarted(1, "b", "g"),
                ArgumentsDelta(1, "{}"),
                ToolCallStarted(2, "c", "h"),
                ArgumentsDelta(2, '{"y": 2}'),
            ],
        ),
        (
            [
                block(
                    0,
                    {"type": "server_tool_use", "id": "x", "name": "web_search", "input": {}},
                    delta(0, "input_json_delta", partial_json='{"query":"x"}'),
                ),
                block(1, {"type": "web_search_tool_result", "tool_use_id": "x", "content": []}),
            ],
            [],
        ),
        (
            [
                block(
                    0,
                    {"type": "text", "text": "a"},
                    delta(
                        0,
                        "citations_delta",
                        citation={"type": "web_search_result_location", "url": "u", "title": "t", "cited_text": "q"},
                    ),
                )
            ],
            [TextDelta("a"), CitationAdded(Citation("u", "t", "q"))],
        ),
    ],
)
def test_blocks_are_read_as_anthropic_sends_them(blocks: list[bytes], events: list[AnyEvent]) -> None:
    assert read_blocks(*blocks) == events


def test_counts_are_cumulative_and_the_cache_is_kept_from_the_start() -> None:
    start = {"input_tokens": 2, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 4, "output_tokens": 1}
    end = {"output_tokens": 8, "input_tokens": None, "output_tokens_details": {"thinking_tokens": 6}}
    stream = [
        event("message_start", message={"id": "1", "model": "m", "usage": start}),
        event("message_delta", delta={"stop_reason": "max_tokens"}, usage=end),
        STOP,
    ]
    assert read(stream)[-1] == Counted(Usage(prompt=9, completion=8, cached=3, cache_written=4, reasoning=6))


def test_a_refusal_says_why() -> None:
    details = {"type": "refusal", "explanation": "no", "category": None}
    end = event("message_delta", delta={"stop_reason": "refusal", "stop_details": details}, usage={"output_tokens": 0})
    assert read([START, end, STOP])[2:4] == [RefusalDelta("no"), Stopped("content_filter")]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_every_cut_of_a_stream_gives_the_same_events(line_end: bytes) -> None:
    stream = (b"\xef\xbb\xbf" + START + event("ping") + HELLO + END + STOP).replace(b"\n", line_end)
    whole = read([stream])
    assert whole[2:4] == [TextDelta("hé"), TextDelta("llo")]
    for cut in range(len(stream)):
        assert read([stream[:cut], stream[cut:]]) == whole
    assert read([stream[at : at + 1] for at in range(len(stream))]) == whole


def test_a_cut_stream_is_found_at_every_byte() -> None:
    stream = START + HELLO + END + STOP
    for end in range(len(stream) - 2):
        reader = MESSAGES.reader()
        reader.feed(stream[:end])
        reader.finish()
        assert isinstance(reader.failure, StreamCut), stream[:end]


@pytest.mark.parametrize(
    ("frame", "failure", "status"),
    [
        (event("error", error={"type": "overloaded_error", "message": "busy"}), UpstreamFailed, 529),
        (event("error", error={"type": "rate_limit_error", "message": "slow"}), UpstreamRateLimited, 429),
        (event("error", error={"type": "api_error", "message": "boom"}), UpstreamFailed, 0),
        (event("error"), UpstreamFailed, 0),
        (b"event: x\ndata: {oops}\n\n", UpstreamProtocolError, 0),
        (b'data: {"type":"content_block_delta","delta":{"text":"\xff"}}\n\n', UpstreamProtocolError, 0),
    ],
)
def test_a_failure_in_the_stream_ends_it_after_what_came_before(
    frame: bytes, failure: type[Exception], status: int
) -> None:
    reader = MESSAGES.reader()
    events = reader.feed(START + HELLO + frame + HELLO)
    assert events[2:] == [TextDelta("hé"), TextDelta("llo")]
    assert reader.failure is not None
    assert type(reader.failure) is failure
    assert reader.failure.upstream_status == status
    assert reader.feed(END + STOP) == []
    assert reader.finish() == []
