"""The bodies of OpenAI's completions."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from headgate.wire.openai import Choices, Envelope, StreamOptions, TokenLimit
from headgate.wire.usage import UsageBody

FinishReason = Literal["stop", "length", "content_filter"]
Prompt = str | list[str | int | list[int]]
"""A text, a list of texts, the token ids of a text, or a list of such lists."""


class CompletionRequest(msgspec.Struct, omit_defaults=True):
    """What `/v1/completions` takes."""

    model: str
    prompt: Prompt
    suffix: str | None = None
    """The text after the gap that is to be filled."""
    max_tokens: TokenLimit | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    n: Choices | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: Annotated[int, msgspec.Meta(ge=0)] | None = None
    echo: bool | None = None
    """Say the prompt before the completion."""
    best_of: Choices | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None


class Logprobs(msgspec.Struct):
    text_offset: list[int] | None = None
    token_logprobs: list[float | None] | None = None
    tokens: list[str] | None = None
    top_logprobs: list[dict[str, float] | None] | None = None


class CompletionChoice(msgspec.Struct):
    text: str
    index: int
    logprobs: Logprobs | None = None
    finish_reason: FinishReason | None = None
    """Null in all chunks of a stream but the last."""


class Completion(msgspec.Struct, omit_defaults=True):
    """What `/v1/completions` answers, and what each event of its stream holds."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: UsageBody | None = None
    system_fingerprint: str | None = None


class CompletionEnvelope(Envelope, kw_only=True):
    """The fields that the road reads; everything else stays undecoded."""

    prompt: msgspec.Raw
