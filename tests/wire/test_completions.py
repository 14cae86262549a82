"""Completions: prompts in all their forms, answers and chunks in OpenAI's shape, streams that were cut."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.errors import BadRequest, StreamCut, UpstreamFailed, UpstreamProtocolError, WireNotServed
from headgate.types import Usage
from headgate.wire import sse
from headgate.wire.base import Ask, Translation, encode
from headgate.wire.chat import CHAT
from headgate.wire.completions import COMPLETIONS
from headgate.wire.conversation import (
    AnyEvent,
    Choice,
    Conversation,
    Counted,
    Image,
    Message,
    OutputFormat,
    Refusal,
    Reply,
    Settings,
    Started,
    Stopped,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    Tool,
)
from tests.wire.shapes import assert_completion

counts = st.integers(0, 100_000)
stops = st.sampled_from(["stop", "length", "content_filter"])
usages = st.builds(Usage, prompt=counts, completion=counts, cached=counts, reasoning=counts)
fractions = st.none() | st.floats(-2, 2)
requests = st.builds(
    Conversation,
    model=st.text(min_size=1, max_size=20),
    messages=st.text().map(lambda text: (Message("user", (Text(text),)),)),
    settings=st.builds(
        Settings,
        max_tokens=st.none() | st.integers(1, 100_000),
        temperature=fractions,
        top_p=fractions,
        stop=st.lists(st.text(), max_size=4).map(tuple),
        seed=st.none() | st.integers(-(2**31), 2**31),
        presence_penalty=fractions,
        frequency_penalty=fractions,
        choices=st.none() | st.integers(1, 128),
        user=st.none() | st.text(),
    ),
    stream=st.booleans(),
    suffix=st.text(max_size=10),
)
replies = st.builds(
    Reply,
    id=st.text(min_size=1, max_size=10),
    model=st.text(max_size=10),
    choices=st.lists(
        st.builds(Choice, parts=st.text().map(lambda text: (Text(text),) if text else ()), stop=stops),
        min_size=1,
        max_size=3,
    ).map(tuple),
    usage=st.none() | usages,
    created=st.integers(1, 2**31),
)


@st.composite
def streams(draw: st.DrawFn) -> list[AnyEvent]:
    choices = draw(st.integers(1, 3))
    deltas = draw(st.lists(st.tuples(st.text(min_size=1), st.integers(0, choices - 1)), max_size=8))
    return [
        Started(
            draw(st.text(min_size=1, max_size=5)), draw(st.text(min_size=1, max_size=5)), draw(st.integers(1, 2**31))
        ),
        *(TextDelta(text, choice) for text, choice in deltas),
        *(Stopped(draw(stops), choice) for choice in range(choices)),
        Counted(draw(usages)),
    ]


STREAM = (
    b": a comment\n\n"
    b'data: {"id":"c","object":"text_completion","created":9,"model":"m","choices":[{"text":"H\xc3\xa9","index":0,'
    b'"logprobs":null,"finish_reason":null}],"usage":null}\r\n\r\n'
    b'data:\n\ndata: {"id":"c","created":9,"model":"m","choices":[{"text":"llo","index":0,"finish_reason":null}]}\n\n'
    b'data: {"id":"c","created":9,"model":"m","choices":[{"text":"","index":0,"finish_reason":"length"}]}\n\n'
    b'data: {"id":"c","created":9,"model":"m","choices":[{"text":"","index":0,"finish_reason":"stop"}]}\n\n'
    b'data: {"id":"c","created":9,"model":"m","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'
    b"data: [DONE]\n\n"
)
EVENTS = [
    Started("c", "m", 9),
    TextDelta("Hé"),
    TextDelta("llo"),
    Stopped("length"),
    Counted(Usage(prompt=3, completion=2)),
]


def asked(*, usage: bool = False) -> Ask:
    return COMPLETIONS.ask(
        encode({"model": "asked", "prompt": "p", "stream": True, "stream_options": {"include_usage": usage}})
    )


def written(events: list[AnyEvent], *, usage: bool = True) -> bytes:
    writer = COMPLETIONS.writer(asked(usage=usage))
    return writer.write(events) + writer.finish()


@given(requests)
def test_a_request_survives_writing_and_reading(conversation: Conversation) -> None:
    written = COMPLETIONS.write(conversation)
    assert written.dropped == ()
    assert COMPLETIONS.read(encode(written.fields)) == conversation


@given(replies)
def test_an_answer_survives_writing_and_reading_in_openais_shape(reply: Reply) -> None:
    body = COMPLETIONS.write_reply(reply)
    assert COMPLETIONS.read_reply(body) == reply
    assert COMPLETIONS.look(body).usage == reply.usage
    assert_completion(body)


@given(streams())
def test_a_stream_survives_writing_and_reading(events: list[AnyEvent]) -> None:
    reader = COMPLETIONS.reader()
    assert reader.feed(written(events)) == events
    assert (reader.failure, reader.ended) == (None, True)


@given(streams())
def test_chunks_have_openais_shape(events: list[AnyEvent]) -> None:
    *chunks, done = sse.read(written(events))
    assert done == ("", b"[DONE]")
    for _, data in chunks:
        chunk = msgspec.json.decode(data)
        for choice in chunk["choices"]:
            # OpenAI's streams say null until the end, though its package has no null here.
            choice["finish_reason"] = choice["finish_reason"] or "stop"
        assert_completion(encode(chunk))


@pytest.mark.parametrize(("prompt", "text"), [(b'"a"', "a"), (b'["a"]', "a"), (b'""', "")])
def test_one_text_is_one_users_message(prompt: bytes, text: str) -> None:
    conversation = COMPLETIONS.read(b'{"model":"m","prompt":' + prompt + b"}")
    assert conversation.messages == (Message("user", (Text(text),)),)


@pytest.mark.parametrize("prompt", [b'["a","b"]', b"[1,2]", b"[[1,2],[3]]"])
def test_prompts_that_no_chat_can_carry_leave_it_to_another_target(prompt: bytes) -> None:
    body = b'{"model":"m","prompt":' + prompt + b"}"
    assert bytes(COMPLETIONS.ask(body).fields["prompt"]) == prompt
    with pytest.raises(WireNotServed) as refused:
        COMPLETIONS.read(body)
    assert refused.value.param == "prompt"
    assert refused.value.elsewhere


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"model":"m"}', "prompt"),
        (b'{"prompt":"a"}', "model"),
        (b'{"model":"m","prompt":"a","n":1000000}', "n"),
        (b'{"model":"m","prompt":"a","max_tokens":9223372036854775808}', "max_tokens"),
    ],
)
def test_a_bad_request_is_refused_at_once_by_name(body: bytes, param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        COMPLETIONS.ask(body)
    assert refused.value.param == param


@pytest.mark.parametrize(
    ("field", "param"),
    [
        (b'"prompt":[]', "prompt"),
        (b'"prompt":{}', "prompt"),
        (b'"prompt":"a","stop":[1]', "stop[0]"),
        (b'"prompt":"a","suffix":1', "suffix"),
    ],
)
def test_a_field_of_the_wrong_kind_is_refused_by_its_path(field: bytes, param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        COMPLETIONS.read(b'{"model":"m",' + field + b"}")
    assert refused.value.param == param


def test_fields_that_no_other_wire_has_are_named() -> None:
    body = b'{"model":"m","prompt":"a","echo":true,"best_of":3,"logit_bias":{"1":-100},"logprobs":2,"x":1,"y":null}'
    assert set(COMPLETIONS.read(body).unread) == {"echo", "best_of", "logit_bias", "logprobs", "x"}
    assert COMPLETIONS.read(b'{"model":"m","prompt":"a","echo":false,"best_of":1}').unread == ()


@pytest.mark.parametrize(
    "conversation",
    [
        Conversation("m", (Message("system", (Text("a"),)),)),
        Conversation("m", (Message("user", (Text("a"),)), Message("assistant", (Text("b"),)))),
        Conversation("m", (Message("user", (Text("a"), Image(url="https://example.com/a.png"))),)),
        Conversation("m", (Message("user", (Text("a"),)),), tools=(Tool("f"),)),
        Conversation("m", (Message("user", (Text("a"),)),), settings=Settings(format=OutputFormat("json"))),
        Conversation("m", ()),
    ],
)
def test_more_than_one_plain_text_is_passed_over(conversation: Conversation) -> None:
    with pytest.raises(WireNotServed) as refused:
        COMPLETIONS.write(conversation)
    assert refused.value.param == "messages"


def test_settings_without_a_place_are_named() -> None:
    settings = Settings(
        top_k=1,
        logprobs=True,
        top_logprobs=2,
        effort="low",
        thinking_tokens=9,
        parallel_tools=True,
        metadata={"a": "b"},
    )
    conversation = Conversation("m", (Message("user", (Text("a"),), name="ann"),), settings=settings)
    assert COMPLETIONS.write(conversation).dropped == (
        "top_k",
        "logprobs",
        "top_logprobs",
        "reasoning_effort",
        "thinking",
        "parallel_tool_calls",
        "metadata",
        "name",
    )


def test_thinking_is_no_part_of_the_text() -> None:
    reply = Reply("c", "m", (Choice((Thinking("hm"), Text("a"), Refusal("b")), "tool_calls"),), created=1)
    assert COMPLETIONS.read_reply(COMPLETIONS.write_reply(reply)).choices == (Choice((Text("ab"),), "stop"),)
    events: list[AnyEvent] = [Started("c", "m", 1), ThinkingDelta("hm"), TextDelta("a"), Stopped("pause")]
    assert COMPLETIONS.reader().feed(written(events)) == [Started("c", "m", 1), TextDelta("a"), Stopped("stop")]


def test_an_id_and_a_time_are_made_where_the_provider_gave_none() -> None:
    shape = assert_completion(COMPLETIONS.write_reply(Reply("", "m", (Choice((), "stop"),))))
    assert shape.id.startswith("cmpl-")
    assert shape.created > 1_700_000_000


def test_usage_comes_only_where_it_was_asked_for() -> None:
    events: list[AnyEvent] = [Started("c", "m", 1), Stopped("stop"), Counted(Usage(prompt=1, completion=2))]
    assert b'"usage"' not in written(events, usage=False)
    *_, (_, counted), _ = sse.read(written(events, usage=True))
    assert msgspec.json.decode(counted)["choices"] == []
    assert msgspec.json.decode(counted)["usage"]["total_tokens"] == 3


def test_usage_streamed_is_usage_not_streamed() -> None:
    whole = b'{"choices":[{"text":"Hello","index":0}],"usage":{"prompt_tokens":3,"completion_tokens":2}}'
    translation = Translation(COMPLETIONS.reader(), COMPLETIONS.writer(asked()))
    passage = COMPLETIONS.passage(asked())
    for follower in (translation, passage):
        follower.feed(STREAM)
        assert follower.usage == COMPLETIONS.read_reply(whole).usage == COMPLETIONS.look(whole).usage


def test_every_split_reads_the_same_events() -> None:
    for cut in range(len(STREAM) + 1):
        reader = COMPLETIONS.reader()
        assert reader.feed(STREAM[:cut]) + reader.feed(STREAM[cut:]) + reader.finish() == EVENTS
        assert (reader.failure, reader.ended) == (None, True)
    reader = COMPLETIONS.reader()
    assert [event for byte in STREAM for event in reader.feed(bytes([byte]))] == EVENTS


def test_a_stream_cut_anywhere_before_its_finish_reason_is_a_failure() -> None:
    for cut in range(STREAM.index(b'"length"')):
        reader = COMPLETIONS.reader()
        events = reader.feed(STREAM[:cut]) + reader.finish()
        assert isinstance(reader.failure, StreamCut)
        assert events == EVENTS[: len(events)]


def test_done_without_a_finish_reason_stops_each_choice() -> None:
    reader = COMPLETIONS.reader()
    chunk = (
        b'data: {"id":"c","model":"m","choices":[{"text":"a","index":0},{"text":"b","index":1}]}\n\ndata: [DONE]\n\n'
    )
    assert reader.feed(chunk)[-2:] == [Stopped("stop", 0), Stopped("stop", 1)]
    assert reader.ended


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b'{"error":{"message":"boom","code":500}}', UpstreamFailed),
        (b'{"choices":[{"text":"","index":0,"finish_reason":"error"}]}', UpstreamFailed),
        (b"{junk", UpstreamProtocolError),
        (b"[DONE]", UpstreamProtocolError),
    ],
)
def test_a_failure_inside_a_stream_ends_it(data: bytes, kind: type[Exception]) -> None:
    reader = COMPLETIONS.reader()
    assert reader.feed(b"data: " + data + b"\n\ndata: [DONE]\n\n") == []
    assert type(reader.failure) is kind
    assert reader.feed(STREAM) == reader.finish() == []


def test_a_chat_only_model_completes_a_prompt() -> None:
    body = b'{"model":"m","prompt":"Once","max_tokens":5,"stop":["."],"stream":true,"logit_bias":{"1":1}}'
    fields = CHAT.write(COMPLETIONS.read(body)).fields
    assert msgspec.json.decode(encode(fields)) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Once"}],
        "max_tokens": 5,
        "stop": ["."],
        "stream": True,
    }
    road = Translation(CHAT.reader(), COMPLETIONS.writer(asked()))
    out = road.feed(
        b'data: {"id":"c","created":1,"model":"m","choices":[{"index":0,"delta":{"content":" upon"}}]}\n\n'
        b'data: {"id":"c","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"length"}]}\n\n'
        b"data: [DONE]\n\n"
    )
    *chunks, done = sse.read(out + road.finish())
    choices = [msgspec.json.decode(data)["choices"][0] for _, data in chunks]
    assert [(choice["text"], choice["finish_reason"]) for choice in choices] == [(" upon", None), ("", "length")]
    assert done == ("", b"[DONE]")
    assert road.ended


def test_an_answer_without_choices_is_a_failure() -> None:
    for body in (b"{}", b'{"choices":[]}', b"junk", b'{"choices":[{"text":1}]}'):
        with pytest.raises(UpstreamProtocolError):
            COMPLETIONS.read_reply(body)
