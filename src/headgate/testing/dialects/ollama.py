"""Ollama: its native NDJSON API, and the OpenAI shape that it serves beside it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from headgate.testing.answers import Answer, Piece, Refused, Reply, count, tokens
from headgate.testing.dialects.base import JSON, Call, Object, Route, encode
from headgate.testing.dialects.chat import ChatDialect
from headgate.testing.dialects.events import line
from headgate.testing.dialects.openai import OpenAI
from headgate.testing.dialects.vectors import vector
from headgate.types import Usage

VERSION = "0.40.12"
AT = "2026-01-01T00:00:00Z"
WIDTH = 768


class NativeFunction(msgspec.Struct, frozen=True):
    """The function of a tool call; its arguments are an object."""

    name: str
    arguments: dict[str, object]


class NativeCall(msgspec.Struct, frozen=True):
    """A tool call that a request brings back."""

    function: NativeFunction


class NativeMessage(msgspec.Struct, frozen=True):
    """One message of a native request."""

    role: str
    content: str = ""
    images: list[str] | None = None
    tool_calls: list[NativeCall] | None = None


class Options(msgspec.Struct, frozen=True):
    """Ollama's sampling settings, as far as they bound the answer."""

    num_predict: int | None = None
    stop: list[str] | None = None


class NativeBody(msgspec.Struct, frozen=True):
    """A native chat request; without `stream` it streams."""

    model: str
    messages: list[NativeMessage] = []
    stream: bool | None = None
    think: bool | str | None = None
    options: Options | None = None

    @property
    def limit(self) -> int | None:
        """The bound on completion tokens; Ollama's -1 and -2 mean that there is none."""
        asked = self.options.num_predict if self.options else None
        return asked if asked is not None and asked >= 0 else None

    @property
    def stops(self) -> tuple[str, ...]:
        return tuple(self.options.stop or ()) if self.options else ()


class EmbedBody(msgspec.Struct, frozen=True):
    """A native request for embeddings."""

    model: str
    input: str | list[str]
    dimensions: int | None = None


class ShowBody(msgspec.Struct, frozen=True):
    """A question about one model; older clients say `name`."""

    model: str = ""
    name: str = ""


class Ollama(OpenAI):
    """An Ollama server with its library. It needs no key, and knows only the models that it has pulled."""

    name = "ollama"
    prefix = "/ollama"
    base = ""
    library = ("llama2:latest", "llama3.2:latest", "qwen3:8b", "nomic-embed-text:latest")
    closed = True
    reasoning_field = "reasoning"

    def routes(self) -> list[Route]:
        return [
            Route("POST", "/api/chat", self.native_chat),
            Route("POST", "/api/embed", self.native_embed),
            Route("POST", "/api/show", self.show),
            Route("GET", "/api/tags", self.tags),
            Route("GET", "/api/version", self.version),
            *super().routes(),
        ]

    def headers(self, call: Call) -> dict[str, str]:
        return {}

    def admit(self, call: Call) -> None:
        if self._key is not None and self.credential(call.headers) != self._key:
            raise Refused(401, "unauthorized")

    def has(self, model: str) -> bool:
        return (model if ":" in model else f"{model}:latest") in self.models

    def no_model(self, model: str) -> Refused:
        if not model:
            return Refused(400, "model is required")
        said = f'model "{model}" not found, try pulling it first'
        return Refused(404, said, kind="not_found_error")

    check = ChatDialect.check

    def refusal(self, call: Call, refused: Refused) -> Reply:
        if "/api/" not in call.request.path:
            return super().refusal(call, refused)
        return Reply(refused.status, JSON, [Piece(encode({"error": refused.message}))])

    def tags(self, call: Call) -> Reply:
        self.admit(call)
        return self.whole(call, {"models": [_tag(model) for model in self.models]})

    def version(self, call: Call) -> Reply:
        return self.whole(call, {"version": VERSION})

    def show(self, call: Call) -> Reply:
        self.admit(call)
        body = call.read(ShowBody)
        model = body.model or body.name
        self.find(model)
        embeds = "embed" in model
        about: Object = {
            "details": _DETAILS,
            "model_info": {"general.architecture": "llama", "llama.context_length": 131_072},
            "capabilities": ["embedding"] if embeds else ["completion", "tools", "thinking"],
            "modified_at": AT,
        }
        return self.whole(call, about)

    def native_embed(self, call: Call) -> Reply:
        self.admit(call)
        body = call.read(EmbedBody)
        self.find(body.model)
        listed = [body.input] if isinstance(body.input, str) else body.input
        usage = Usage(prompt=sum(count(text) for text in listed))
        found: Object = {
            "model": body.model,
            "embeddings": [vector(text, body.dimensions or WIDTH) for text in listed],
            "total_duration": 14_143_917,
            "load_duration": 1_019_500,
            "prompt_eval_count": usage.prompt,
        }
        return Reply(200, JSON, [Piece(encode(found))], usage)

    def native_chat(self, call: Call) -> Reply:
        self.admit(call)
        body = call.read(NativeBody)
        self.find(body.model)
        echo = next((message.content for message in reversed(body.messages) if message.role == "user"), "")
        answer = call.script(body.model, Answer(text=echo)).bounded(body.limit, body.stops)
        usage = answer.charge(sum(count(message.content) for message in body.messages))
        envelope: Object = {"model": body.model, "created_at": AT}
        ending = envelope | _ending(answer, usage)
        if body.stream is False:
            whole = ending | {"message": _message(answer.text + answer.refusal, answer.thinking, answer)}
            return Reply(200, JSON, [Piece(encode(whole), usage.completion)], usage, pacing=answer.pacing)
        pieces = [*_lines(envelope, answer), Piece(line(ending | {"message": _message("")}))]
        headers = {"content-type": "application/x-ndjson"}
        return Reply(200, headers, pieces, usage, stream=True, pacing=answer.pacing)

    def error_event(self, call: Call, refused: Refused) -> bytes:
        native = "/api/" in call.request.path
        return line({"error": refused.message}) if native else super().error_event(call, refused)


_DETAILS: Object = {
    "parent_model": "",
    "format": "gguf",
    "family": "llama",
    "families": ["llama"],
    "parameter_size": "3.2B",
    "quantization_level": "Q4_K_M",
}


def _tag(model: str) -> Object:
    digest = f"{sum(model.encode()):064x}"
    return {
        "name": model,
        "model": model,
        "modified_at": AT,
        "size": 2_019_393_189,
        "digest": digest,
        "details": _DETAILS,
    }


def _message(content: str, thinking: str = "", answer: Answer | None = None) -> Object:
    message: Object = {"role": "assistant", "content": content}
    if thinking:
        message["thinking"] = thinking
    if answer is not None and answer.tool_calls:
        message["tool_calls"] = [
            {"function": {"index": index, "name": call.name, "arguments": msgspec.json.decode(call.arguments)}}
            for index, call in enumerate(answer.tool_calls)
        ]
    return message


def _lines(envelope: Object, answer: Answer) -> Iterator[Piece]:
    for token in tokens(answer.thinking):
        yield Piece(line(envelope | {"message": _message("", token), "done": False}), count(token))
    for token in tokens(answer.text + answer.refusal):
        yield Piece(line(envelope | {"message": _message(token), "done": False}), count(token))
    if answer.tool_calls:
        carried = answer.completion_tokens - count(answer.thinking) - count(answer.text) - count(answer.refusal)
        yield Piece(line(envelope | {"message": _message("", answer=answer), "done": False}), carried)


def _ending(answer: Answer, usage: Usage) -> Object:
    return {
        "done": True,
        "done_reason": "length" if answer.finish == "length" else "stop",
        "total_duration": 4_883_583_458,
        "load_duration": 1_334_875,
        "prompt_eval_count": usage.prompt,
        "prompt_eval_duration": 342_546_000,
        "eval_count": usage.completion,
        "eval_duration": 4_535_599_000,
    }
