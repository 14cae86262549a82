"""A provider that a plug-in file brought (`headgate.plugins`): its coroutines answer, and this class guards them."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from headgate.config import ProviderSettings
from headgate.errors import UpstreamError, UpstreamFailed, UpstreamProtocolError, UpstreamTimeout
from headgate.providers.base import Provider, encode
from headgate.wire import sse
from headgate.wire.chat import CHAT
from headgate.wire.conversation import AnyEvent, Conversation

if TYPE_CHECKING:
    from headgate.plugins import ChatCompletionRequest, LLMProvider, Shape


CLOSING_S = 1.0
"""How long a plug-in may take to let go of an answer that nobody reads any more."""

_log = logging.getLogger(__name__)


class Plugin(Provider):
    """Answers through a plug-in. What the plug-in calls, and how, is its own business; what it raises, or gives instead
    of an answer, or keeps to itself too long, is a failure of this provider and of nothing else."""

    key_needed = False
    responds = True

    def __init__(self, settings: ProviderSettings, plugin: LLMProvider) -> None:
        super().__init__(settings)
        self._plugin = plugin

    async def respond(self, conversation: Conversation) -> AsyncGenerator[AnyEvent, None]:
        """Raises `UpstreamError`s only."""
        reader = CHAT.reader()
        async with aclosing(self._paced(self._chunks(_request(conversation)))) as chunks:
            async for chunk in chunks:
                for event in reader.feed(sse.write(chunk)):
                    yield event
                if reader.failure:
                    break
        for event in [*reader.feed(sse.DONE), *reader.finish()]:
            yield event
        if reader.failure:
            raise self._said(reader.failure)

    async def _chunks(self, request: ChatCompletionRequest) -> AsyncGenerator[bytes, None]:
        """The answer as JSON chunks of a chat stream; a whole answer is one chunk."""
        from headgate.plugins import ChatCompletionResponse, ChatCompletionStreamResponse

        if not request.stream:
            answer = await self._plugin.chat_completion(request)
            yield encode(_as_chunk(self._checked(answer, ChatCompletionResponse)))
            return
        async with aclosing(await self._stream(request)) as stream:
            async for chunk in stream:
                yield encode(self._checked(chunk, ChatCompletionStreamResponse))

    async def _stream(self, request: ChatCompletionRequest) -> AsyncGenerator[object, None]:
        stream: Any = self._plugin.chat_completion_stream(request)
        if inspect.isawaitable(stream):
            stream = await stream
        if not isinstance(stream, AsyncGenerator):
            raise self._junk(stream, "an async generator of ChatCompletionStreamResponse")
        return stream

    def _checked(self, answer: object, shape: type[Shape]) -> dict[str, Any]:
        from pydantic import ValidationError

        try:
            return shape.model_validate(answer).model_dump(mode="json", exclude_none=True)
        except ValidationError:
            raise self._junk(answer, f"a {shape.__name__}") from None

    def _junk(self, answer: object, wanted: str) -> UpstreamProtocolError:
        kind = type(answer).__name__
        return UpstreamProtocolError(f"the plug-in `{self.name}` gave {kind} where {wanted} was expected")

    async def _paced(self, chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """The chunks, each within its time, and every failure in words of ours."""
        limits, clock = self.settings.timeouts, asyncio.get_running_loop()
        end, wait = clock.time() + limits.total_s, limits.first_byte_s
        try:
            while True:
                async with asyncio.timeout_at(min(end, clock.time() + wait)):
                    chunk = await anext(chunks)
                yield chunk
                wait = limits.idle_s
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise UpstreamTimeout(f"the plug-in `{self.name}` did not answer in time") from None
        except Exception as error:
            raise self._failed(error) from error
        finally:
            await self._let_go(chunks)

    async def _let_go(self, chunks: AsyncGenerator[bytes, None]) -> None:
        """The answer is over: a plug-in that fails only now has nothing to fail any more, and is told to the log."""
        try:
            async with asyncio.timeout(CLOSING_S):
                await chunks.aclose()
        except Exception as error:
            _log.warning("%s", self._failed(error).message)

    def _failed(self, error: Exception) -> UpstreamError:
        """What a plug-in raised. An HTTP client's error that carries its response is read as that response."""
        if isinstance(error, UpstreamError):
            return self._said(error)
        response = getattr(error, "response", None)
        status = getattr(response, "status_code", None)
        if isinstance(status, int) and status >= 400:
            return self.failure(status, _header_bytes(response), b"")
        return UpstreamFailed(self.scrub(f"the plug-in `{self.name}` failed: {type(error).__name__}: {error}")[:2000])

    def _said(self, error: UpstreamError) -> UpstreamError:
        error.message = self.scrub(f"the plug-in `{self.name}`: {error.message}")
        return error


def _request(conversation: Conversation) -> ChatCompletionRequest:
    from headgate.plugins import ChatCompletionRequest

    return ChatCompletionRequest.model_validate_json(encode(CHAT.write(conversation).fields))


def _as_chunk(answer: dict[str, Any]) -> dict[str, Any]:
    """A whole chat completion as the one chunk of a stream that says the same."""
    choices = [
        {"index": choice["index"], "delta": choice["message"], "finish_reason": choice.get("finish_reason")}
        for choice in answer["choices"]
    ]
    return {**answer, "object": "chat.completion.chunk", "choices": choices}


def _header_bytes(response: object) -> Mapping[bytes, bytes]:
    headers = getattr(response, "headers", {})
    return {str(name).lower().encode(): str(value).encode() for name, value in dict(headers).items()}
