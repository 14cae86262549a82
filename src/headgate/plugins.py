"""What a provider plug-in imports: the base class, the decorator that registers it, and the shapes it takes and gives.

A plug-in is one file in the plug-in folder. It is the only place where headgate runs code that it was not shipped with,
and it is never reachable from a request. docs/providers.md has a whole one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable
from time import time
from typing import Any, ClassVar, TypeVar
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field


class Shape(BaseModel):
    """A body of OpenAI's chat completions. Fields that are not named here are kept."""

    model_config = ConfigDict(extra="allow")


class ChatMessage(Shape):
    """`content` is a text or a list of parts, None beside tool calls."""

    role: str = "assistant"
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None


class ChatCompletionRequest(Shape):
    """What the caller asks; `model` is the name that the plug-in's provider is asked for."""

    model: str
    messages: list[ChatMessage]
    stream: bool = False
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None
    user: str | None = None


class Usage(Shape):
    """Counted tokens. Without it they are estimated, and marked so."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0


class ChatCompletionChoice(Shape):
    index: int = 0
    message: ChatMessage
    finish_reason: str | None = "stop"


class ChatCompletionResponse(Shape):
    """A whole answer."""

    id: str = Field(default_factory=lambda: f"chatcmpl-{uuid4().hex}")
    object: str = "chat.completion"
    created: int = Field(default_factory=lambda: int(time()))
    model: str = ""
    choices: list[ChatCompletionChoice]
    usage: Usage | None = None


class ChatCompletionDelta(Shape):
    role: str | None = None
    content: str | None = None
    tool_calls: list[dict[str, Any]] | None = None


class ChatCompletionStreamChoice(Shape):
    """The last chunk of a choice says the `finish_reason`; where none does, the end of the stream is its end."""

    index: int = 0
    delta: ChatCompletionDelta
    finish_reason: str | None = None


class ChatCompletionStreamResponse(Shape):
    """One chunk of a streamed answer."""

    id: str = Field(default_factory=lambda: f"chatcmpl-{uuid4().hex}")
    object: str = "chat.completion.chunk"
    created: int = Field(default_factory=lambda: int(time()))
    model: str = ""
    choices: list[ChatCompletionStreamChoice]
    usage: Usage | None = None


class LLMProvider(ABC):
    """A plug-in's provider. headgate calls the two `chat_completion` methods; the others are the plug-in's own steps.

    `api_key` and `api_base` are the values of the variables that `PROVIDER_CONFIGS` names.
    """

    def __init__(self, api_key: str = "", api_base: str = "") -> None:
        self.api_key = api_key
        self.api_base = api_base

    @abstractmethod
    async def chat_completion(self, request: ChatCompletionRequest) -> ChatCompletionResponse:
        """The whole answer. Whatever this raises is answered as a failure of this provider."""

    @abstractmethod
    def chat_completion_stream(
        self, request: ChatCompletionRequest
    ) -> AsyncGenerator[ChatCompletionStreamResponse, None]:
        """The answer in chunks: an `async def` with `yield`."""

    def prepare_headers(self) -> dict[str, str]:
        """Headers for the plug-in's own calls."""
        return {}

    def prepare_payload(self, request: ChatCompletionRequest) -> dict[str, Any]:
        """The body for the plug-in's own calls."""
        return request.model_dump(exclude_none=True)

    def process_response(self, response: dict[str, Any]) -> ChatCompletionResponse:
        """Reads a service's answer; the default takes OpenAI's shape."""
        return ChatCompletionResponse.model_validate(response)

    def process_stream_response(self, response: Any) -> AsyncGenerator[ChatCompletionStreamResponse, None]:
        """Reads a service's stream; only the plug-in knows its shape."""
        raise NotImplementedError(f"{type(self).__name__} does not read streams")


AnyProvider = TypeVar("AnyProvider", bound=type[LLMProvider])


class LLMProviderFactory:
    """The names under which plug-in classes were registered. The last class of a name counts."""

    registered: ClassVar[dict[str, type[LLMProvider]]] = {}

    @classmethod
    def register(cls, name: str) -> Callable[[AnyProvider], AnyProvider]:
        """A class decorator. Raises `TypeError` for what is not an `LLMProvider`."""

        def keep(provider: AnyProvider) -> AnyProvider:
            if not (isinstance(provider, type) and issubclass(provider, LLMProvider)):
                raise TypeError(f"{provider!r} is registered as {name!r} but is no LLMProvider")
            cls.registered[name] = provider
            return provider

        return keep
