"""What each text wire can say, as hypothesis strategies over the neutral conversation, its replies and its streams."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from itertools import pairwise
from typing import TypeVar

import msgspec
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from headgate.types import Usage
from headgate.wire.conversation import (
    AnyEvent,
    AnyPart,
    ArgumentsDelta,
    Audio,
    Choice,
    Citation,
    CitationAdded,
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
    Stop,
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

Value = TypeVar("Value")

strings = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
ids = st.text("abcXYZ019_-", min_size=1, max_size=8)
blobs = st.binary(min_size=1, max_size=9).map(lambda blob: base64.b64encode(blob).decode())
counts = st.integers(0, 10**9)
shares = st.floats(0, 1)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | strings,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(strings, inner, max_size=2),
    max_leaves=4,
)
objects = st.dictionaries(strings, values, max_size=3)
schemas = objects.map(lambda fields: {**fields, "type": "object"})


def maybe(strategy: SearchStrategy[Value]) -> SearchStrategy[Value | None]:
    return st.none() | strategy


def several(strategy: SearchStrategy[Value], least: int = 0, most: int = 3) -> SearchStrategy[tuple[Value, ...]]:
    return st.lists(strategy, min_size=least, max_size=most).map(tuple)


@st.composite
def usages(draw: st.DrawFn, *, priced: bool = False) -> Usage:
    cached, stored = draw(counts), draw(counts)
    completion = draw(counts)
    return Usage(
        prompt=cached + stored + draw(counts),
        completion=completion,
        cached=cached,
        cache_written=stored,
        reasoning=draw(st.integers(0, completion)),
        cost_nano=draw(maybe(st.integers(0, 10**12))) if priced else None,
    )


texts = st.builds(Text, words)
marked_texts = st.builds(Text, words, st.booleans())
addressed_images = st.builds(Image, url=ids.map("https://host/{}".format))
inline_images = st.builds(Image, data=blobs, media_type=st.sampled_from(["image/png", "image/webp"]))
images = addressed_images | inline_images
signed = st.builds(Thinking, strings, words)
redacted = st.builds(Thinking, redacted=words)
proven_thinking = signed | redacted
plain_thinking = st.builds(Thinking, words)
calls = st.builds(ToolCall, ids, ids, objects.map(lambda fields: msgspec.json.encode(fields).decode()))
broken_calls = st.builds(ToolCall, ids, ids, strings)
pdfs = st.builds(File, data=blobs, media_type=st.just("application/pdf"), filename=strings)
stored_files = st.builds(File, file_id=ids, filename=strings)
forced = st.builds(ToolChoice, st.just("tool"), ids)
tool_choices = st.sampled_from([ToolChoice("auto"), ToolChoice("none"), ToolChoice("required")]) | forced


# The chat wire


@st.composite
def chat_thinking(draw: st.DrawFn) -> tuple[Thinking, ...]:
    blocks = draw(several(proven_thinking, most=2))
    return blocks + draw(several(plain_thinking, most=1))


@st.composite
def chat_answer_parts(draw: st.DrawFn) -> tuple[AnyPart, ...]:
    said: tuple[AnyPart, ...] = draw(several(texts, most=1))
    if said:
        said += draw(several(st.builds(Citation, words, strings), most=2))
    refusal = draw(several(st.builds(Refusal, words), most=1))
    return draw(chat_thinking()) + said + refusal + draw(several(broken_calls))


@st.composite
def chat_assistants(draw: st.DrawFn) -> Message:
    refusal = draw(several(st.builds(Refusal, words), most=1))
    parts: tuple[AnyPart, ...] = (*draw(chat_thinking()), *draw(several(texts)), *refusal, *draw(several(broken_calls)))
    return Message("assistant", parts, draw(strings))


chat_messages = st.one_of(
    st.builds(Message, st.sampled_from(["system", "developer"]), several(texts), strings),
    st.builds(
        Message,
        st.just("user"),
        several(st.one_of(texts, images, st.builds(Audio, blobs, st.just("wav")), pdfs, stored_files)),
        strings,
    ),
    chat_assistants(),
    st.builds(Message, st.just("tool"), st.tuples(st.builds(ToolResult, ids, several(texts)))),
)
chat_formats = st.just(OutputFormat("json")) | st.builds(
    OutputFormat, st.just("schema"), words, maybe(objects), maybe(st.booleans()), strings
)
chat_settings = st.builds(
    Settings,
    max_tokens=maybe(st.integers(1, 2**31 - 1)),
    temperature=maybe(st.floats(0, 2)),
    top_p=maybe(shares),
    stop=several(words),
    seed=maybe(st.integers(-(2**63), 2**63 - 1)),
    presence_penalty=maybe(st.floats(-2, 2)),
    frequency_penalty=maybe(st.floats(-2, 2)),
    choices=maybe(st.integers(1, 128)),
    logprobs=maybe(st.booleans()),
    top_logprobs=maybe(st.integers(0, 20)),
    effort=maybe(st.sampled_from(["none", "low", "xhigh"])),
    format=maybe(chat_formats),
    user=maybe(words),
    metadata=maybe(st.dictionaries(words, strings, max_size=2)),
)
chat_conversations = st.builds(
    Conversation,
    model=words,
    messages=several(chat_messages, least=1, most=5),
    tools=several(st.builds(Tool, words, strings, maybe(objects), maybe(st.booleans()))),
    tool_choice=maybe(tool_choices),
    settings=chat_settings,
    stream=st.booleans(),
)


@st.composite
def chat_choices(draw: st.DrawFn) -> Choice:
    parts = draw(chat_answer_parts())
    called = any(isinstance(part, ToolCall) for part in parts)
    return Choice(parts, draw(st.sampled_from(["tool_calls" if called else "stop", "length", "content_filter"])))


chat_replies = st.builds(
    Reply,
    id=words,
    model=strings,
    choices=several(chat_choices(), least=1),
    usage=maybe(usages(priced=True)),
    created=st.integers(1, 2**32),
)


# The messages wire


def tagged(call: ToolCall, number: int) -> ToolCall:
    return msgspec.structs.replace(call, id=f"{call.id}_{number}")


@st.composite
def messages_turns(draw: st.DrawFn) -> tuple[Message, ...]:
    """Turns that alternate; in a user's, tool results come first."""
    turns: list[Message] = []
    for number in range(draw(st.integers(1, 3))):
        if number:
            parts = st.one_of(marked_texts, proven_thinking, calls)
            turns.append(Message("assistant", draw(several(parts, least=1))))
        result = st.builds(ToolResult, ids, several(marked_texts | images), st.booleans())
        results = draw(several(result, most=2))
        turns += [Message("tool", (result,)) for result in results]
        document = pdfs | stored_files | st.builds(File, url=words, filename=strings)
        note = words.map(lambda text: base64.b64encode(text.encode()).decode())
        part = st.one_of(marked_texts, images, document, st.builds(File, note, st.just("text/plain"), filename=strings))
        said = draw(several(part, least=0 if results else 1))
        turns += [Message("user", said)] if said else []
    return tuple(turns)


@st.composite
def messages_conversations(draw: st.DrawFn) -> Conversation:
    system = draw(several(st.builds(Message, st.just("system"), several(marked_texts, least=1)), most=1))
    tools = draw(several(st.builds(Tool, ids, strings, schemas, maybe(st.just(True)))))
    choice = draw(maybe(tool_choices)) if tools else None
    parallel = draw(maybe(st.just(False))) if choice and choice.mode != "none" else None
    settings = draw(
        st.builds(
            Settings,
            max_tokens=st.integers(1, 2**31 - 1),
            temperature=maybe(shares),
            top_p=maybe(shares),
            top_k=maybe(st.integers(0, 500)),
            stop=several(words),
            thinking_tokens=maybe(st.just(0)),
            parallel_tools=st.just(parallel),
            format=maybe(st.builds(OutputFormat, st.just("schema"), schema=schemas)),
            user=maybe(words),
        )
    )
    return Conversation(
        draw(words), system + draw(messages_turns()), tools, choice, settings, stream=draw(st.booleans())
    )


@st.composite
def messages_choices(draw: st.DrawFn) -> Choice:
    parts: list[AnyPart] = []
    for part in draw(several(st.one_of(texts, proven_thinking, plain_thinking, calls), most=5)):
        parts.append(part)
        if isinstance(part, Text):
            parts += draw(several(st.builds(Citation, words, strings, strings), most=1))
    called = any(isinstance(part, ToolCall) for part in parts)
    stops: list[Stop] = ["tool_calls" if called else "stop", "length", "content_filter", "pause"]
    stop = draw(st.sampled_from(stops))
    if stop == "content_filter":
        parts += draw(several(st.builds(Refusal, words), most=1))
    return Choice(tuple(parts), stop, draw(strings) if stop == "stop" else "")


messages_replies = st.builds(Reply, id=words, model=words, choices=st.tuples(messages_choices()), usage=usages())


# Streams


def events_of(reply: Reply) -> list[AnyEvent]:
    """The stream that says the same as a reply, each choice after the other, in pieces of at most three characters."""
    events: list[AnyEvent] = [Started(reply.id, reply.model, reply.created)]
    for index, choice in enumerate(reply.choices):
        number = 0
        for part in choice.parts:
            events += _events_of_part(part, index, number)
            number += isinstance(part, ToolCall)
        events.append(Stopped(choice.stop or "stop", index, choice.stop_sequence))
    return [*events, Counted(reply.usage)] if reply.usage else events


def _events_of_part(part: AnyPart, choice: int, number: int) -> Iterator[AnyEvent]:
    match part:
        case Text(text=text):
            yield from (TextDelta(piece, choice) for piece in pieces(text))
        case Thinking(text=text, signature=signature, redacted=data):
            yield from (ThinkingDelta(piece, choice=choice) for piece in pieces(text))
            if signature or data:
                yield ThinkingDelta(signature=signature, redacted=data, choice=choice)
        case Refusal(text=text):
            yield from (RefusalDelta(piece, choice) for piece in pieces(text))
        case Citation():
            yield CitationAdded(part, choice)
        case ToolCall(id=call_id, name=name, arguments=arguments):
            yield ToolCallStarted(number, call_id, name, choice)
            yield from (ArgumentsDelta(number, piece, choice) for piece in pieces(arguments))


def pieces(text: str) -> list[str]:
    return [text[start : start + 3] for start in range(0, len(text), 3)]


def merged(events: list[AnyEvent]) -> list[AnyEvent]:
    """Events with neighbours of one kind joined and only the last count kept, at the end."""
    out: list[AnyEvent] = []
    for event in events:
        last = out[-1] if out else None
        if isinstance(event, Counted):
            continue
        if last is not None and _joins(last, event):
            out[-1] = msgspec.structs.replace(last, text=last.text + event.text)  # type: ignore[union-attr]
        else:
            out.append(event)
    return out + [event for event in events if isinstance(event, Counted)][-1:]


def _joins(last: AnyEvent, event: AnyEvent) -> bool:
    text = getattr(last, "text", "") and getattr(event, "text", "")
    return bool(text) and msgspec.structs.replace(last, text="") == msgspec.structs.replace(event, text="")


def split(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted({cut % (len(stream) + 1) for cut in cuts}), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


cut_lists = st.lists(st.integers(0, 10_000), max_size=8)
