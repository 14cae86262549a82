"""A chat completions answer, whole and as chunks, field by field: its documented shapes, which translate nothing.

Source: the OpenAI API reference, "The chat completion object" and "The chat completion chunk object".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from headgate.wire.chat.request_shapes import (
    CustomToolCall,
    FunctionCall,
    FunctionToolCall,
    JSONObject,
    ReasoningDetail,
    Shape,
)
from headgate.wire.usage import UsageBody


class URLCitation(Shape):
    """A source for the text from `start_index` to `end_index`, in characters."""

    url: str
    title: str
    start_index: int
    end_index: int


class Annotation(Shape, tag_field="type", tag="url_citation"):
    """A note to a stretch of the text."""

    url_citation: URLCitation


FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "function_call"]


class AnswerMessage(msgspec.Struct, omit_defaults=True):
    """The model's answer. `reasoning_content` and `reasoning_details` are extensions."""

    role: Literal["assistant"]
    content: str | None
    refusal: str | None
    annotations: list[Annotation] | None = None
    tool_calls: Sequence[FunctionToolCall | CustomToolCall] | None = None
    function_call: FunctionCall | None = None
    audio: JSONObject | None = None
    reasoning_content: str | None = None
    reasoning_details: list[ReasoningDetail] | None = None


class TokenLogprob(Shape):
    """A token with its log probability, and the likeliest others in its place."""

    token: str
    logprob: float
    bytes: list[int] | None
    top_logprobs: list[JSONObject]


class Logprobs(Shape):
    """Log probabilities of the tokens of the text or of a refusal."""

    content: list[TokenLogprob] | None = None
    refusal: list[TokenLogprob] | None = None


class AnswerChoice(msgspec.Struct):
    """One of the answers to one request."""

    index: int
    message: AnswerMessage
    finish_reason: FinishReason
    logprobs: Logprobs | None = None


class ChatCompletion(msgspec.Struct, omit_defaults=True):
    """A whole answer."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[AnswerChoice]
    usage: UsageBody | None = None
    system_fingerprint: str | None = None
    service_tier: str | None = None


class FunctionDelta(Shape):
    """A piece of a function's name or arguments."""

    name: str | None = None
    arguments: str | None = None


class ToolCallDelta(Shape):
    """A piece of a tool call. Only the first piece of a call has `id`, `type` and the function's name."""

    index: int
    id: str | None = None
    type: Literal["function"] | None = None
    function: FunctionDelta | None = None


class Delta(Shape):
    """What this chunk adds to the message."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCallDelta] | None = None
    annotations: list[Annotation] | None = None
    reasoning_content: str | None = None
    reasoning_details: list[ReasoningDetail] | None = None


class ChunkChoice(msgspec.Struct):
    """What a chunk adds to one of the answers."""

    index: int
    delta: Delta
    finish_reason: FinishReason | None = None
    logprobs: Logprobs | None = None


class ChatChunk(msgspec.Struct, omit_defaults=True):
    """One event of a streamed answer. The last one has no choices and the usage, where that was asked for."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: UsageBody | None = None
    system_fingerprint: str | None = None
    service_tier: str | None = None
