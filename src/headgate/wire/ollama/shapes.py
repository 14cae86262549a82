"""The bodies of Ollama's native chat, as its server takes and gives them (github.com/ollama/ollama, docs/api.md)."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from headgate.wire.openai import TokenLimit

ModelName = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]


class CalledFunction(msgspec.Struct, omit_defaults=True):
    """`arguments` is an object here, where OpenAI has a string."""

    name: str
    arguments: msgspec.Raw = msgspec.Raw(b"{}")
    index: int | None = None


class Call(msgspec.Struct, omit_defaults=True):
    function: CalledFunction
    id: str | None = None
    """Older servers give none."""


class ChatMessage(msgspec.Struct, omit_defaults=True):
    """One turn, asked or answered. `images` are base64 without a media type."""

    role: Literal["system", "user", "assistant", "tool"] | None = None
    content: str | None = None
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[Call] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class OfferedFunction(msgspec.Struct, omit_defaults=True):
    name: str
    description: str | None = None
    parameters: dict[str, object] | None = None


class OfferedTool(msgspec.Struct):
    function: OfferedFunction
    type: Literal["function"] = "function"


class Options(msgspec.Struct, omit_defaults=True):
    """The sampling options that other wires know too."""

    num_predict: TokenLimit | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None


class ChatRequest(msgspec.Struct, omit_defaults=True):
    """What `/api/chat` takes. A stream is the default."""

    model: ModelName
    messages: list[ChatMessage] | None = None
    tools: list[OfferedTool] | None = None
    format: Literal["", "json"] | dict[str, object] | None = None
    options: Options | None = None
    think: bool | str | None = None
    stream: bool | None = None


class Limit(msgspec.Struct):
    num_predict: TokenLimit | None = None


class Envelope(msgspec.Struct):
    """The fields that the road reads; everything else stays undecoded."""

    model: ModelName
    stream: bool | None = None
    options: Limit | None = None


class ChatAnswer(msgspec.Struct, omit_defaults=True):
    """What `/api/chat` answers: whole, or as one line of a stream. Its times are not read, and none are made up."""

    model: str | None = None
    created_at: str | None = None
    message: ChatMessage | None = None
    done: bool | None = None
    done_reason: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    error: str | dict[str, object] | None = None
