"""The neutral conversation: what every text wire reads into and writes out of, whole and as stream events.

Three shapes: a `Conversation` (the request), a `Reply` (the whole answer), and `Event`s (the same answer as it
comes). All are frozen and compare by value, so that `read(write(x)) == x` can be tested for every wire.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from headgate.types import Usage

Role = Literal["system", "developer", "user", "assistant", "tool"]
Stop = Literal["stop", "length", "tool_calls", "content_filter", "pause"]
"""Why an answer ended: its own end or a stop sequence, the limit, tool calls, a refusal, a pause to go on from."""


class Part(msgspec.Struct, frozen=True, tag_field="type", omit_defaults=True):
    """One piece of a message's content."""


class Text(Part, frozen=True, tag="text"):
    """Plain words."""

    text: str
    cache: bool = False
    """The caller marked the prefix that ends here for the provider's prompt cache."""


class Image(Part, frozen=True, tag="image"):
    """Either `url` or `data` (base64) with its `media_type`. URLs pass through: the gateway fetches none."""

    url: str = ""
    data: str = ""
    media_type: str = ""
    detail: str = ""


class Audio(Part, frozen=True, tag="audio"):
    """Sound: base64 `data` in a `format` such as `wav`."""

    data: str
    format: str


class File(Part, frozen=True, tag="file"):
    """One of `data` (base64), `url` or `file_id`."""

    data: str = ""
    media_type: str = ""
    url: str = ""
    file_id: str = ""
    filename: str = ""


class ToolCall(Part, frozen=True, tag="tool_call"):
    """`arguments` is JSON text, byte for byte as the model wrote it."""

    id: str
    name: str
    arguments: str


class ToolResult(Part, frozen=True, tag="tool_result"):
    """What a tool gave back to the call `call_id`; `failed` where it was an error."""

    call_id: str
    content: tuple[Text | Image, ...]
    failed: bool = False


class Thinking(Part, frozen=True, tag="thinking"):
    """The model's own reasoning. With a `signature` it must go back to its provider untouched; `redacted` is opaque."""

    text: str = ""
    signature: str = ""
    redacted: str = ""


class Refusal(Part, frozen=True, tag="refusal"):
    """What the model says where it refuses."""

    text: str


class Citation(Part, frozen=True, tag="citation"):
    """A source of the text before it: `quote` from `title` at `url`."""

    url: str = ""
    title: str = ""
    quote: str = ""


AnyPart = Text | Image | Audio | File | ToolCall | ToolResult | Thinking | Refusal | Citation


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message. `name` tells participants of the same role apart."""

    role: Role
    parts: tuple[AnyPart, ...]
    name: str = ""


class Tool(msgspec.Struct, frozen=True, omit_defaults=True):
    """A function that the model may call; `parameters` is a JSON schema as a plain object."""

    name: str
    description: str = ""
    parameters: dict[str, object] | None = None
    strict: bool | None = None


class ToolChoice(msgspec.Struct, frozen=True, omit_defaults=True):
    """`auto`, `none`, `required` (any tool), or `tool` with its `name`."""

    mode: Literal["auto", "none", "required", "tool"]
    name: str = ""


class OutputFormat(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the text must be: any JSON object, or JSON that fits `schema`."""

    kind: Literal["json", "schema"]
    name: str = ""
    schema: dict[str, object] | None = None
    strict: bool | None = None
    description: str = ""


class Settings(msgspec.Struct, frozen=True, omit_defaults=True):
    """Sampling and limits; None means that the caller said nothing.

    `thinking_tokens` is an explicit budget for reasoning (0 turns it off); `effort` is the same wish in words.
    `adaptive` comes from the target, never from the caller: its model decides by itself how long to think.
    """

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    choices: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    effort: str | None = None
    thinking_tokens: int | None = None
    adaptive: bool = False
    parallel_tools: bool | None = None
    format: OutputFormat | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None


class Conversation(msgspec.Struct, frozen=True, omit_defaults=True):
    """A whole request in no dialect. `unread` names top-level fields that the reading wire did not understand."""

    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    settings: Settings = Settings()
    stream: bool = False
    suffix: str = ""
    """Text after the gap, for completions that fill in the middle."""
    unread: tuple[str, ...] = ()


class Choice(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of the answers to a request. `stop_sequence` is the one that ended it, where the provider says so."""

    parts: tuple[AnyPart, ...]
    stop: Stop | None = None
    stop_sequence: str = ""


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """A whole answer. `created` is in epoch seconds, 0 where the dialect has no such field."""

    id: str
    model: str
    choices: tuple[Choice, ...]
    usage: Usage | None = None
    created: int = 0


class Event(msgspec.Struct, frozen=True, tag_field="event", omit_defaults=True):
    """One step of a streamed answer."""


class Started(Event, frozen=True, tag="started"):
    """The first event of every stream. `created` is in epoch seconds, 0 where the dialect has no such field."""

    id: str
    model: str
    created: int = 0


class TextDelta(Event, frozen=True, tag="text"):
    """A piece of the text. `choice` counts the answers from 0, here and in the events below."""

    text: str
    choice: int = 0


class ThinkingDelta(Event, frozen=True, tag="thinking"):
    """A piece of reasoning. `signature` (whole, at the end of a block) and `redacted` come without text."""

    text: str = ""
    signature: str = ""
    redacted: str = ""
    choice: int = 0


class RefusalDelta(Event, frozen=True, tag="refusal"):
    """A piece of what the model says where it refuses."""

    text: str
    choice: int = 0


class ToolCallStarted(Event, frozen=True, tag="tool_call"):
    """A tool call opens; `index` counts the calls of this choice from 0."""

    index: int
    id: str
    name: str
    choice: int = 0


class ArgumentsDelta(Event, frozen=True, tag="arguments"):
    """A piece of a call's arguments, as JSON text."""

    index: int
    text: str
    choice: int = 0


class CitationAdded(Event, frozen=True, tag="citation"):
    """A source of the text so far."""

    citation: Citation
    choice: int = 0


class Stopped(Event, frozen=True, tag="stopped"):
    """A choice ended. A stream without this is cut."""

    stop: Stop
    choice: int = 0
    stop_sequence: str = ""


class Counted(Event, frozen=True, tag="counted"):
    """Usage as reported so far; the last one counts."""

    usage: Usage


AnyEvent = (
    Started
    | TextDelta
    | ThinkingDelta
    | RefusalDelta
    | ToolCallStarted
    | ArgumentsDelta
    | CitationAdded
    | Stopped
    | Counted
)
