"""A messages answer, field by field: its documented shapes, which translate nothing.

Source: the Anthropic API reference, "Create a Message", the response.
"""

from __future__ import annotations

from typing import Literal

import msgspec

StopReason = Literal[
    "end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal", "model_context_window_exceeded"
]


class SourceLocation(msgspec.Struct, tag_field="type", tag="web_search_result_location"):
    """A web page that the text rests on. `encrypted_index` is Anthropic's own and empty where another answered."""

    url: str
    title: str | None
    cited_text: str
    encrypted_index: str = ""


class TextAnswer(msgspec.Struct, tag_field="type", tag="text", omit_defaults=True):
    """Text with its sources."""

    text: str
    citations: list[SourceLocation] | None = None


class ThinkingAnswer(msgspec.Struct, tag_field="type", tag="thinking"):
    """Reasoning, and the signature with which it must come back."""

    thinking: str
    signature: str


class RedactedThinkingAnswer(msgspec.Struct, tag_field="type", tag="redacted_thinking"):
    """Reasoning that only its provider can read."""

    data: str


class ToolUseAnswer(msgspec.Struct, tag_field="type", tag="tool_use"):
    """`input` is a JSON object."""

    id: str
    name: str
    input: msgspec.Raw


AnyAnswerBlock = TextAnswer | ThinkingAnswer | RedactedThinkingAnswer | ToolUseAnswer


class OutputDetails(msgspec.Struct):
    """How many of the output tokens were reasoning."""

    thinking_tokens: int


class UsageAnswer(msgspec.Struct, omit_defaults=True):
    """Token counts. `input_tokens` leaves out what was read from the prompt cache and written to it."""

    input_tokens: int
    output_tokens: int
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens_details: OutputDetails | None = None


class StopDetails(msgspec.Struct, tag_field="type", tag="refusal"):
    """Why the model refused, in words."""

    explanation: str


class MessageAnswer(msgspec.Struct, tag_field="type", tag="message"):
    """A whole answer."""

    id: str
    role: Literal["assistant"]
    model: str
    content: list[AnyAnswerBlock]
    stop_reason: StopReason | None
    stop_sequence: str | None
    usage: UsageAnswer
    stop_details: StopDetails | None = None


class MessageEnd(msgspec.Struct, omit_defaults=True):
    """What is known at the end of a stream."""

    stop_reason: StopReason
    stop_sequence: str | None
    stop_details: StopDetails | None = None


class MessageEvent(msgspec.Struct):
    """One event of a stream. Which fields it has hangs on its type: the start has the `message`, still empty; a block
    starts with its `content_block` and grows by `delta`s; `message_delta` says why the message ended, and its usage."""

    type: Literal[
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "ping",
        "error",
    ]
    message: MessageAnswer | None = None
    index: int | None = None
    content_block: AnyAnswerBlock | None = None
    delta: dict[str, object] | None = None
    usage: UsageAnswer | None = None
