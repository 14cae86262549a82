"""Judges everything that a client of these tests received: each whole answer, each chunk of a stream, each error."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection, Iterator
from typing import Literal

import httpx2
from openai.types import Completion, CompletionChoice, CreateEmbeddingResponse, Embedding
from openai.types import Model as ModelRow
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel

from tests.wire.shapes import EXTENSIONS, assert_shape

DONE = b"[DONE]"
DEEPSEEK = {"usage.prompt_cache_hit_tokens", "usage.prompt_cache_miss_tokens"}
OPENROUTER = {
    "provider",
    "choices.native_finish_reason",
    "choices.message.reasoning",
    "choices.delta.reasoning",
    "usage.is_byok",
    "usage.cost_details",
}
PASSED_ON = {"deepseek": DEEPSEEK, "openrouter": OPENROUTER}
"""What providers of OpenAI's shape add and we pass on: we did not make these fields. Everyone else adds nothing."""


class TextChoice(CompletionChoice):
    """OpenAI's document has no null here; its streams do."""

    finish_reason: Literal["stop", "length", "content_filter"] | None = None  # type: ignore[assignment]


class TextChunk(Completion):
    choices: list[TextChoice]  # type: ignore[assignment]


class PackedVector(Embedding):
    """OpenAI's document has numbers here; base64 is what its clients ask for."""

    embedding: list[float] | str  # type: ignore[assignment]


class Vectors(CreateEmbeddingResponse):
    data: list[PackedVector]  # type: ignore[assignment]


class ModelRows(BaseModel):
    object: Literal["list"]
    data: list[ModelRow]
    models: list[ModelRow]
    total: int
    limit: int
    offset: int


WHOLE: dict[str, type[BaseModel]] = {
    "/chat/completions": ChatCompletion,
    "/completions": Completion,
    "/embeddings": Vectors,
    "/models": ModelRows,
}
CHUNKS: dict[str, type[BaseModel]] = {"/chat/completions": ChatCompletionChunk, "/completions": TextChunk}


class Passed:
    """One answer as it went over the wire."""

    def __init__(self, path: str, response: httpx2.Response) -> None:
        self.route = path.removeprefix("/api").removeprefix("/v1")
        self.response = response
        self.body = bytearray()

    def judge(self) -> None:
        """Raises `AssertionError` or `ValidationError` for anything that OpenAI would not send."""
        headers, body = self.response.headers, bytes(self.body)
        assert headers["x-request-id"]
        if self.response.status_code != 200:
            assert_error(body)
        elif headers["content-type"].startswith("text/event-stream"):
            assert_stream(CHUNKS[self.route], body, headers["x-headgate-provider"])
        elif self.route.startswith("/models/"):
            assert_model(json.loads(body))
        elif self.route == "/models":
            ModelRows.model_validate_json(body, strict=True)
        else:
            assert_answer(WHOLE[self.route], body, headers["x-headgate-provider"])


class Watching(httpx2.HTTPTransport):
    """A real transport that notes what passes."""

    def __init__(self, passed: list[Passed]) -> None:
        super().__init__()
        self._passed = passed

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response = super().handle_request(request)
        assert isinstance(response.stream, httpx2.SyncByteStream)
        noted = Passed(request.url.path, response)
        self._passed.append(noted)
        response.stream = Tapped(response.stream, noted.body)
        return response


class AsyncWatching(httpx2.AsyncHTTPTransport):
    """The same for async clients."""

    def __init__(self, passed: list[Passed]) -> None:
        super().__init__()
        self._passed = passed

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        noted = Passed(request.url.path, response)
        self._passed.append(noted)
        response.stream = AsyncTapped(response.stream, noted.body)
        return response


class Tapped(httpx2.SyncByteStream):
    def __init__(self, stream: httpx2.SyncByteStream, body: bytearray) -> None:
        self._stream = stream
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._stream:
            self._body += chunk
            yield chunk

    def close(self) -> None:
        self._stream.close()


class AsyncTapped(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, body: bytearray) -> None:
        self._stream = stream
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            self._body += chunk
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


def assert_answer(shape: type[BaseModel], body: bytes, provider: str) -> None:
    assert_shape(shape.model_validate_json(body, strict=True), _allowed(provider))


def assert_stream(shape: type[BaseModel], body: bytes, provider: str) -> None:
    """Every event is a chunk; the stream ends with `[DONE]`, or with an error event and no `[DONE]`."""
    *chunks, last = events(body)
    for data in chunks:
        assert_answer(shape, data, provider)
    if last != DONE:
        assert_error(last)


def assert_error(body: bytes) -> None:
    """OpenAI's error object, all four fields and no other."""
    (error,) = json.loads(body).values()
    assert list(json.loads(body)) == ["error"]
    assert sorted(error) == ["code", "message", "param", "type"]
    assert error["message"]
    assert error["type"]


def assert_model(row: dict[str, object]) -> None:
    ModelRow.model_validate(row, strict=True)


def events(body: bytes) -> list[bytes]:
    """The `data` of every event; a stream of this gateway has one `data:` line an event and comments between."""
    blocks = body.decode().split("\n\n")
    assert blocks.pop() == "", "the stream ends in half an event"
    said = [block for block in blocks if not block.startswith(":")]
    assert all(block.startswith("data: ") and "\n" not in block for block in said)
    return [block.removeprefix("data: ").encode() for block in said]


def _allowed(provider: str) -> Collection[str]:
    return EXTENSIONS | PASSED_ON.get(provider, set())
