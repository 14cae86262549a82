"""Ollama's native chat: requests, answers and lines both ways, and streams that pass."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.errors import BadRequest, StreamCut, UpstreamError, UpstreamFailed, UpstreamProtocolError, WireNotServed
from headgate.types import Usage
from headgate.wire import sse
from headgate.wire.base import Ask, Passage, Translation, encode
from headgate.wire.chat import CHAT
from headgate.wire.conversation import (
    AnyEvent,
    AnyPart,
    ArgumentsDelta,
    Audio,
    Choice,
    Citation,
    Conversation,
    Counted,
    File,
    Image,
    Message,
    OutputFormat,
    Refusal,
    RefusalDelta,
    Reply,
    Settings,
    Started,
    Stopped,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    Tool,
    ToolCall,
    ToolCallStarted,
    ToolChoice,
    ToolResult,
)
from headgate.wire.ollama import OLLAMA
from tests.wire.shapes import assert_chat_chunk, assert_chat_completion

PNG = "iVBORw0KGgoAAAANSUhEUg=="
words = st.text(min_size=1, max_size=12)
texts = words.map(Text)
images = st.sampled_from([Image(data=PNG, media_type="image/png"), Image(data="/9j/4AAQ", media_type="image/jpeg")])
arguments = st.dictionaries(
    words, st.integers() | st.text(max_size=9) | st.lists(st.booleans(), max_size=2), max_size=3
)
call_texts = arguments.map(lambda value: encode(value).decode())
schemas = st.dictionaries(words, st.text(max_size=5) | st.integers(-5, 5), max_size=3)


def optional(strategy: st.SearchStrategy[AnyPart]) -> st.SearchStrategy[tuple[AnyPart, ...]]:
    return st.lists(strategy, max_size=1).map(tuple)


def joined(*strategies: st.SearchStrategy[tuple[AnyPart, ...]]) -> st.SearchStrategy[tuple[AnyPart, ...]]:
    return st.tuples(*strategies).map(lambda parts: tuple(itertools.chain(*parts)))


calls = st.builds(ToolCall, id=words, name=words, arguments=call_texts)
said = joined(
    optional(words.map(Thinking)), optional(texts), st.lists(calls, max_size=2, unique_by=lambda c: c.id).map(tuple)
)


@st.composite
def turns(draw: st.DrawFn) -> tuple[Message, ...]:
    """A user's turn, an assistant's, and the results of its calls."""
    user = Message("user", draw(joined(optional(texts), st.lists(images, max_size=2).map(tuple))))
    assistant = Message("assistant", draw(said))
    content = joined(optional(texts), st.lists(images, max_size=1).map(tuple))
    results = [
        Message("tool", (ToolResult(part.id, draw(content)),)) for part in assistant.parts if isinstance(part, ToolCall)
    ]
    return (user, assistant, *results)


fractions = st.none() | st.floats(-2, 2)
settings = st.builds(
    Settings,
    max_tokens=st.none() | st.integers(1, 100_000),
    temperature=fractions,
    top_p=fractions,
    top_k=st.none() | st.integers(0, 100),
    stop=st.lists(words, max_size=3).map(tuple),
    seed=st.none() | st.integers(0, 2**31),
    presence_penalty=fractions,
    frequency_penalty=fractions,
    effort=st.sampled_from([None, "low", "medium", "high", "max"]),
    format=st.none()
    | st.just(OutputFormat("json"))
    | schemas.map(lambda schema: OutputFormat("schema", schema=schema)),
)
requests = st.builds(
    Conversation,
    model=words,
    messages=st.tuples(texts.map(lambda text: (Message("system", (text,)),)), turns(), turns()).map(
        lambda parts: tuple(itertools.chain(*parts))
    ),
    tools=st.lists(
        st.builds(Tool, name=words, description=st.text(max_size=5), parameters=st.none() | schemas), max_size=2
    ).map(tuple),
    settings=settings | st.just(Settings(thinking_tokens=0)),
    stream=st.booleans(),
)
usages = st.builds(Usage, prompt=st.integers(0, 9999), completion=st.integers(0, 9999))


def stop_of(parts: tuple[AnyPart, ...]) -> st.SearchStrategy[str]:
    own = "tool_calls" if any(isinstance(part, ToolCall) for part in parts) else "stop"
    return st.sampled_from([own, "length"])


choices = said.flatmap(lambda parts: st.builds(Choice, parts=st.just(parts), stop=stop_of(parts)))
replies = st.builds(
    Reply,
    id=st.just(""),
    model=words,
    choices=choices.map(lambda choice: (choice,)),
    usage=st.none() | usages,
    created=st.integers(1, 2**31),
)


@st.composite
def streams(draw: st.DrawFn) -> list[AnyEvent]:
    made = draw(st.lists(calls, max_size=2))
    deltas = draw(st.lists(words.map(ThinkingDelta) | words.map(TextDelta), max_size=6))
    opened = [
        (ToolCallStarted(index, call.id, call.name), ArgumentsDelta(index, call.arguments))
        for index, call in enumerate(made)
    ]
    return [
        Started("", draw(words), draw(st.integers(1, 2**31))),
        *deltas,
        *itertools.chain(*opened),
        Stopped(draw(st.sampled_from(["tool_calls" if made else "stop", "length"]))),
        *draw(st.just([]) | usages.map(lambda usage: [Counted(usage)])),
    ]


STREAM = (
    b'{"model":"m","created_at":"2023-08-04T08:52:19.385406455-07:00",'
    b'"message":{"role":"assistant","content":"","thinking":"hm"},"done":false}\n'
    b'{"model":"m","created_at":"x","message":{"role":"assistant","content":"H\xc3\xa9","images":null},"done":false}\r\n'
    b'\n{"model":"m","message":{"role":"assistant","content":"",'
    b'"tool_calls":[{"function":{"name":"f","arguments":{"a": 1}}},'
    b'{"id":"call_x","function":{"index":1,"name":"g","arguments":{}}}]},"done":false}\n'
    b'{"model":"m","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","total_duration":4883583458,'
    b'"load_duration":1334875,"prompt_eval_count":26,"prompt_eval_duration":342546000,"eval_count":282}\n'
)
EVENTS = [
    Started("", "m", 1691164339),
    ThinkingDelta("hm"),
    TextDelta("Hé"),
    ToolCallStarted(0, "call_0", "f"),
    ArgumentsDelta(0, '{"a": 1}'),
    ToolCallStarted(1, "call_x", "g"),
    ArgumentsDelta(1, "{}"),
    Stopped("tool_calls"),
    Counted(Usage(prompt=26, completion=282)),
]


def asked() -> Ask:
    return OLLAMA.ask(b'{"model":"asked","messages":[]}')


def written(events: list[AnyEvent]) -> bytes:
    writer = OLLAMA.writer(asked())
    return writer.write(events) + writer.finish()


def reading(message: bytes, *, role: bytes = b"user") -> tuple[AnyPart, ...]:
    body = b'{"model":"m","messages":[{"role":"%b",%b}]}' % (role, message)
    return OLLAMA.read(body).messages[0].parts


@given(requests)
def test_a_request_survives_writing_and_reading(conversation: Conversation) -> None:
    written = OLLAMA.write(conversation)
    assert written.dropped == ()
    assert OLLAMA.read(encode(written.fields)) == conversation


@given(replies)
def test_an_answer_survives_writing_and_reading(reply: Reply) -> None:
    body = OLLAMA.write_reply(reply)
    assert OLLAMA.read_reply(body) == reply
    assert OLLAMA.look(body).usage == reply.usage


@given(streams())
def test_a_stream_survives_writing_and_reading(events: list[AnyEvent]) -> None:
    lines = written(events)
    for line in lines.splitlines():
        msgspec.json.decode(line)
    reader = OLLAMA.reader()
    assert reader.feed(lines) == events
    assert (reader.failure, reader.ended) == (None, True)


def test_a_stream_is_the_default() -> None:
    assert OLLAMA.ask(b'{"model":"m","messages":[]}').stream
    assert OLLAMA.read(b'{"model":"m","messages":[]}').stream
    assert not OLLAMA.ask(b'{"model":"m","stream":false}').stream
    assert bytes(OLLAMA.write(Conversation("m", ())).fields["stream"]) == b"false"


@pytest.mark.parametrize(
    ("start", "media_type"),
    [("iVBORw0KGgo", "image/png"), ("/9j/", "image/jpeg"), ("R0lGOD", "image/gif"), ("UklGR", "image/webp")],
)
def test_the_media_type_of_an_image_is_seen_in_its_bytes(start: str, media_type: str) -> None:
    data = start + "AAAA"
    assert reading(b'"content":"","images":["%b"]' % data.encode()) == (Image(data=data, media_type=media_type),)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"messages":[]}', "model"),
        (b'{"model":""}', "model"),
        (b'{"model":"m","messages":[{"role":"robot"}]}', "messages[0].role"),
        (b'{"model":"m","messages":[{"content":"a"}]}', "messages[0].role"),
        (b'{"model":"m","messages":[{"role":"user","content":[]}]}', "messages[0].content"),
        (b'{"model":"m","messages":[{"role":"user","images":["AAAA"]}]}', "messages[0].images[0]"),
        (b'{"model":"m","messages":[{"role":"tool","content":"x"}]}', "messages[0]"),
        (b'{"model":"m","options":{"temperature":"hot"}}', "options.temperature"),
        (b'{"model":"m","format":"yaml"}', "format"),
    ],
)
def test_a_bad_request_is_refused_by_the_path_of_its_field(body: bytes, param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        OLLAMA.read(body)
    assert refused.value.param == param


def test_a_result_without_an_id_answers_the_first_open_call_of_its_name() -> None:
    body = encode(
        {
            "model": "m",
            "messages": [
                {"role": "assistant", "tool_calls": [{"function": {"name": name}} for name in ("f", "g", "f")]},
                {"role": "tool", "tool_name": "g", "content": "1"},
                {"role": "tool", "tool_name": "f", "content": "2"},
                {"role": "tool", "content": "3"},
                {"role": "assistant", "tool_calls": [{"id": "own", "function": {"name": "f"}}]},
                {"role": "tool", "tool_call_id": "own", "content": "4"},
            ],
        }
    )
    results = [part for message in OLLAMA.read(body).messages for part in message.parts if isinstance(part, ToolResult)]
    assert [result.call_id for result in results] == ["call_1", "call_0", "call_2", "own"]


def test_a_result_names_its_tool_to_ollama() -> None:
    conversation = Conversation(
        "m",
        (
            Message("assistant", (ToolCall("c1", "f", '{"a": 1}'), ToolCall("c2", "g", ""))),
            Message("tool", (ToolResult("c2", (Text("x"), Text("y"))), ToolResult("c1", ()))),
        ),
    )
    messages = msgspec.json.decode(OLLAMA.write(conversation).fields["messages"])
    assert [call["function"]["arguments"] for call in messages[0]["tool_calls"]] == [{"a": 1}, {}]
    assert messages[1:] == [
        {"role": "tool", "content": "x\ny", "tool_name": "g", "tool_call_id": "c2"},
        {"role": "tool", "content": "", "tool_name": "f", "tool_call_id": "c1"},
    ]


@pytest.mark.parametrize(
    "part",
    [
        Image(url="https://example.com/a.png"),
        Audio("AAAA", "wav"),
        File(data="AAAA", media_type="application/pdf"),
        ToolCall("c", "f", "[1]"),
        ToolCall("c", "f", "{broken"),
        ToolCall("c", "f", '{"a":' * 100_000),
        ToolResult("c", (Text("x"),)),
    ],
)
def test_content_that_ollama_cannot_carry_is_passed_over(part: AnyPart) -> None:
    with pytest.raises(WireNotServed) as refused:
        OLLAMA.write(Conversation("m", (Message("user", (Text("a"),)), Message("assistant", (part,)))))
    assert (refused.value.param or "").startswith("messages[1]")


def test_an_image_by_address_is_told_from_other_content() -> None:
    with pytest.raises(WireNotServed, match="by address"):
        OLLAMA.write(Conversation("m", (Message("user", (Image(url="https://example.com/a.png"),)),)))


def test_a_gap_cannot_be_filled() -> None:
    with pytest.raises(WireNotServed) as refused:
        OLLAMA.write(Conversation("m", (Message("user", (Text("a"),)),), suffix="b"))
    assert refused.value.param == "suffix"


def test_settings_without_a_place_are_named_as_openai_names_them() -> None:
    conversation = Conversation(
        "m",
        (
            Message("user", (Text("a", cache=True), Image(data=PNG, media_type="image/png", detail="low")), name="ann"),
            Message("assistant", (Thinking(redacted="xx"), Text("b"), Citation(url="u"), ToolCall("c", "f", "{}"))),
            Message("tool", (ToolResult("c", (), failed=True),)),
        ),
        tools=(Tool("f"),),
        tool_choice=ToolChoice("required"),
        settings=Settings(
            choices=2, logprobs=True, top_logprobs=1, effort="odd", parallel_tools=False, user="u", metadata={"a": "b"}
        ),
    )
    assert OLLAMA.write(conversation).dropped == (
        "n",
        "logprobs",
        "top_logprobs",
        "reasoning_effort",
        "parallel_tool_calls",
        "tool_choice",
        "user",
        "metadata",
        "name",
        "annotations",
        "cache_control",
        "detail",
        "is_error",
        "reasoning_details",
    )


def test_options_and_fields_of_ollama_alone_are_named() -> None:
    body = b'{"model":"m","options":{"num_ctx":9,"seed":1,"min_p":null},"keep_alive":0,"stream":true}'
    assert OLLAMA.read(body).unread == ("keep_alive", "options.num_ctx")


@pytest.mark.parametrize(
    ("settings", "think"),
    [
        (Settings(), None),
        (Settings(effort="none"), False),
        (Settings(effort="minimal"), "low"),
        (Settings(effort="xhigh"), "high"),
        (Settings(effort="high", thinking_tokens=0), "high"),
        (Settings(thinking_tokens=0), False),
        (Settings(thinking_tokens=1_024), "low"),
        (Settings(thinking_tokens=30_000), "high"),
    ],
)
def test_a_wish_to_reason_becomes_think(settings: Settings, think: bool | str | None) -> None:
    fields = OLLAMA.write(Conversation("m", (), settings=settings)).fields
    assert msgspec.json.decode(fields.get("think", b"null")) == think


@pytest.mark.parametrize(
    ("think", "settings"),
    [
        (b"true", Settings(effort="medium")),
        (b"false", Settings(thinking_tokens=0)),
        (b'"high"', Settings(effort="high")),
        (b"null", Settings()),
    ],
)
def test_think_becomes_a_wish_to_reason(think: bytes, settings: Settings) -> None:
    assert OLLAMA.read(b'{"model":"m","think":%b}' % think).settings == settings


def test_tools_are_withheld_where_none_may_be_called() -> None:
    conversation = Conversation("m", (), tools=(Tool("f"),), tool_choice=ToolChoice("none"))
    assert "tools" not in OLLAMA.write(conversation).fields


def test_a_developer_speaks_as_the_system_and_a_refusal_as_text() -> None:
    conversation = Conversation("m", (Message("developer", (Text("a"),)), Message("assistant", (Refusal("no"),))))
    assert msgspec.json.decode(OLLAMA.write(conversation).fields["messages"]) == [
        {"role": "system", "content": "a"},
        {"role": "assistant", "content": "no"},
    ]


def test_a_real_answer_is_read() -> None:
    body = (
        b'{"model":"llama3.2","created_at":"2024-07-22T20:33:28.123648Z","message":{"role":"assistant","content":"",'
        b'"tool_calls":[{"function":{"name":"get_current_weather","arguments":{"format":"celsius"}}}]},'
        b'"done_reason":"stop","done":true,"total_duration":885095291,"prompt_eval_count":122,"eval_count":33}'
    )
    assert OLLAMA.read_reply(body) == Reply(
        id="",
        model="llama3.2",
        choices=(Choice((ToolCall("call_0", "get_current_weather", '{"format":"celsius"}'),), "tool_calls"),),
        usage=Usage(prompt=122, completion=33),
        created=1721680408,
    )


def test_an_answer_says_when_it_was_made_and_leaves_out_what_nobody_measured() -> None:
    body = OLLAMA.write_reply(
        Reply("x", "m", (Choice((Text("a"),), "length"),), Usage(prompt=0, completion=2), 1691164339)
    )
    assert msgspec.json.decode(body) == {
        "model": "m",
        "created_at": "2023-08-04T15:52:19Z",
        "message": {"role": "assistant", "content": "a"},
        "done": True,
        "done_reason": "length",
        "prompt_eval_count": 0,
        "eval_count": 2,
    }


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", UpstreamProtocolError),
        (b"[]", UpstreamProtocolError),
        (b"{}", UpstreamProtocolError),
        (b'{"model":"m","message":"hi","done":true}', UpstreamProtocolError),
        (b'{"error":"out of memory"}', UpstreamFailed),
    ],
)
def test_an_answer_without_a_message_is_a_failure(body: bytes, kind: type[UpstreamError]) -> None:
    for look in (OLLAMA.look, OLLAMA.read_reply):
        with pytest.raises(kind) as failed:
            look(body)
        assert type(failed.value) is kind


def test_tool_arguments_that_are_no_object_never_reach_a_client() -> None:
    with pytest.raises(UpstreamProtocolError, match="arguments"):
        OLLAMA.write_reply(Reply("", "m", (Choice((ToolCall("c", "f", "[1]"),), "tool_calls"),)))
    with pytest.raises(UpstreamProtocolError, match="arguments"):
        written([Started("", "m", 1), ToolCallStarted(0, "c", "f"), ArgumentsDelta(0, '{"a'), Stopped("length")])


def test_tool_arguments_on_several_lines_stay_on_one_line() -> None:
    events: list[AnyEvent] = [
        Started("", "m", 1),
        ToolCallStarted(0, "c", "f"),
        ToolCallStarted(1, "d", "g"),
        ArgumentsDelta(0, '{\n "a":'),
        ArgumentsDelta(1, "{ }"),
        ArgumentsDelta(0, ' "\\n 1" }'),
        Stopped("tool_calls"),
    ]
    called, done = written(events).splitlines()
    read = [call["function"]["arguments"] for call in msgspec.json.decode(called)["message"]["tool_calls"]]
    assert read == [{"a": "\n 1"}, {}]
    assert msgspec.json.decode(done)["done"] is True


def test_what_the_dialect_has_no_place_for_goes_and_a_refusal_is_text() -> None:
    events: list[AnyEvent] = [
        Started("id", "m", 1),
        ThinkingDelta(signature="s"),
        RefusalDelta("no"),
        TextDelta("second choice", choice=1),
        Stopped("content_filter"),
    ]
    lines = written(events)
    assert OLLAMA.reader().feed(lines) == [Started("", "m", 1), TextDelta("no"), Stopped("stop")]
    assert lines.count(b"\n") == 2
    reply = Reply("", "m", (Choice((Text("first"),), "stop"), Choice((Text("second"),), "stop")), created=1)
    assert OLLAMA.read_reply(OLLAMA.write_reply(reply)).choices == reply.choices[:1]


def test_every_split_reads_the_same_events() -> None:
    for cut in range(len(STREAM) + 1):
        reader = OLLAMA.reader()
        assert reader.feed(STREAM[:cut]) + reader.feed(STREAM[cut:]) + reader.finish() == EVENTS
        assert (reader.failure, reader.ended) == (None, True)
    reader = OLLAMA.reader()
    assert [event for byte in STREAM for event in reader.feed(bytes([byte]))] == EVENTS


def test_every_split_passes_the_same_lines() -> None:
    whole = STREAM.replace(b"\r\n", b"\n").replace(b"\n\n", b"\n")
    for cut in range(len(STREAM) + 1):
        passage = OLLAMA.passage(asked())
        assert passage.feed(STREAM[:cut]) + passage.feed(STREAM[cut:]) + passage.finish() == whole
        assert (passage.failure, passage.ended, passage.pieces, passage.model) == (None, True, 3, "m")


def test_a_last_line_without_its_end_is_the_end_all_the_same() -> None:
    passage = OLLAMA.passage(asked())
    assert passage.feed(STREAM[:-1]) + passage.finish() == passage_of(STREAM)
    assert passage.ended


def passage_of(stream: bytes) -> bytes:
    passage = OLLAMA.passage(asked())
    return passage.feed(stream) + passage.finish()


def test_a_stream_cut_anywhere_is_a_failure() -> None:
    for cut in range(len(STREAM) - 1):
        reader, passage = OLLAMA.reader(), OLLAMA.passage(asked())
        events = reader.feed(STREAM[:cut]) + reader.finish()
        passed = passage.feed(STREAM[:cut]) + passage.finish()
        assert isinstance(reader.failure, StreamCut)
        assert isinstance(passage.failure, StreamCut)
        assert events == EVENTS[: len(events)]
        assert passage_of(STREAM).startswith(passed)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b'{"error":"the runner died"}', UpstreamFailed),
        (b"{junk", UpstreamProtocolError),
        (b'{"model":"m"}', UpstreamProtocolError),
    ],
)
def test_a_failure_inside_a_stream_ends_it_after_what_came_before(line: bytes, kind: type[UpstreamError]) -> None:
    first = b'{"model":"m","message":{"content":"a"},"done":false}\n'
    reader, passage = OLLAMA.reader(), OLLAMA.passage(asked())
    assert reader.feed(first + line + b"\n" + STREAM) == [Started("", "m", 0), TextDelta("a")]
    assert passage.feed(first + line + b"\n" + STREAM) == first
    for follower in (reader, passage):
        assert type(follower.failure) is kind
        assert not follower.ended
        assert not follower.feed(STREAM)
        assert not follower.finish()


def test_an_endless_line_is_a_failure() -> None:
    for follower in (OLLAMA.reader(), OLLAMA.passage(asked())):
        for _ in range(9):
            follower.feed(b"x" * 1024 * 1024)
        assert type(follower.failure) is UpstreamProtocolError


def test_usage_streamed_is_usage_not_streamed() -> None:
    whole = b'{"message":{"content":"H"},"done":true,"prompt_eval_count":26,"eval_count":282}'
    followers: tuple[Passage, ...] = (
        Translation(OLLAMA.reader(), OLLAMA.writer(asked())),
        OLLAMA.passage(asked()),
    )
    for follower in followers:
        follower.feed(STREAM)
        assert follower.usage == OLLAMA.read_reply(whole).usage == OLLAMA.look(whole).usage


CHAT_ASK = CHAT.ask(
    b'{"model":"m","messages":[{"role":"user","content":"a"}],"stream":true,"stream_options":{"include_usage":true}}'
)


def test_a_chat_callers_request_reaches_ollama() -> None:
    function = {"name": "f", "description": "d", "parameters": {"type": "object"}}
    body = {
        "model": "m",
        "messages": [
            {"role": "developer", "content": "be brief"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "look"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "42"},
        ],
        "tools": [{"type": "function", "function": function}],
        "max_completion_tokens": 9,
        "stop": "END",
        "stream": True,
    }
    fields = OLLAMA.write(CHAT.read(encode(body))).fields
    assert msgspec.json.decode(encode(fields)) == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "look", "images": [PNG]},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}, "index": 0}, "id": "c1"}],
            },
            {"role": "tool", "content": "42", "tool_name": "f", "tool_call_id": "c1"},
        ],
        "tools": [{"type": "function", "function": function}],
        "options": {"num_predict": 9, "stop": ["END"]},
        "stream": True,
    }


def test_a_chat_caller_gets_ollamas_stream_and_answer_in_openais_shape() -> None:
    road = Translation(OLLAMA.reader(), CHAT.writer(CHAT_ASK))
    events = sse.read(b"".join(road.feed(bytes([byte])) for byte in STREAM) + road.finish())
    chunks = [assert_chat_chunk(data) for _, data in events[:-1]]
    assert events[-1] == ("", b"[DONE]")
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 308
    assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices) == "Hé"
    whole = b'{"model":"m","message":{"content":"H","tool_calls":[{"function":{"name":"f"}}]},"done":true}'
    completion = assert_chat_completion(CHAT.write_reply(OLLAMA.read_reply(whole)))
    assert completion.choices[0].finish_reason == "tool_calls"


@given(replies)
def test_an_answer_of_ollama_survives_the_chat_wire(reply: Reply) -> None:
    assert CHAT.read_reply(CHAT.write_reply(reply)).choices == reply.choices


def test_errors_are_one_sentence_and_one_line_of_a_stream() -> None:
    error = BadRequest('say "please"', param="model")
    assert OLLAMA.error(error, "req_1") == b'{"error":"say \\"please\\""}'
    assert OLLAMA.error_event(error, "req_1") == b'{"error":"say \\"please\\""}\n'
