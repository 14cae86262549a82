"""Judges of what we emit: the vendors' own pydantic types, with every key that they do not know refused."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TypeVar

from anthropic.types import Message as AnthropicMessage
from anthropic.types import RawMessageStreamEvent
from openai.types import Completion, CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel, TypeAdapter

Model = TypeVar("Model", bound=BaseModel)
EXTENSIONS = frozenset(
    {
        "usage.cost",
        "choices.message.reasoning_content",
        "choices.message.reasoning_details",
        "choices.delta.reasoning_content",
        "choices.delta.reasoning_details",
        "choices.delta.annotations",
    }
)
"""What we say beyond OpenAI's documents, by path without indexes. OpenAI itself streams `annotations`."""

_anthropic_event: TypeAdapter[RawMessageStreamEvent] = TypeAdapter(RawMessageStreamEvent)


def assert_chat_completion(body: bytes) -> ChatCompletion:
    return assert_shape(ChatCompletion.model_validate_json(body, strict=True))


def assert_chat_chunk(data: bytes) -> ChatCompletionChunk:
    return assert_shape(ChatCompletionChunk.model_validate_json(data, strict=True))


def assert_completion(body: bytes) -> Completion:
    return assert_shape(Completion.model_validate_json(body, strict=True))


def assert_embeddings(body: bytes) -> CreateEmbeddingResponse:
    return assert_shape(CreateEmbeddingResponse.model_validate_json(body, strict=True))


def assert_anthropic_message(body: bytes) -> AnthropicMessage:
    return assert_shape(AnthropicMessage.model_validate_json(body, strict=True))


def assert_anthropic_event(data: bytes) -> RawMessageStreamEvent:
    return assert_shape(_anthropic_event.validate_json(data, strict=True))


def assert_shape(validated: Model, extensions: Collection[str] = EXTENSIONS) -> Model:
    """Fails where a validated model, at any depth, holds a key that its class does not declare."""
    unknown = sorted(set(_unknown(validated, "")).difference(extensions))
    assert not unknown, f"{type(validated).__name__} has no {unknown}"
    return validated


def _unknown(value: object, path: str) -> Iterator[str]:
    if isinstance(value, BaseModel):
        for name in value.model_extra or {}:
            yield f"{path}.{name}".lstrip(".")
        for name in type(value).model_fields:
            yield from _unknown(getattr(value, name), f"{path}.{name}".lstrip("."))
    elif isinstance(value, list):
        for item in value:
            yield from _unknown(item, path)
