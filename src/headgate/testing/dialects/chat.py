"""The OpenAI chat shape, whole and streamed, with the places where services that copied it differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import msgspec

from headgate.testing.answers import Answer, Finish, Piece, Refused, Reply, count, tokens
from headgate.testing.dialects.base import CREATED, JSON, Call, Dialect, Object, Route, encode
from headgate.testing.dialects.events import DONE, event, odd
from headgate.types import Usage

_NOTHING: Object = {}


class ContentPart(msgspec.Struct, frozen=True):
    """A part of a message's content; only text counts."""

    type: str
    text: str = ""


class CalledFunction(msgspec.Struct, frozen=True):
    """The function of a tool call."""

    name: str
    arguments: str


class CalledTool(msgspec.Struct, frozen=True):
    """A tool call that a request brings back."""

    id: str
    function: CalledFunction | None = None


class ChatMessage(msgspec.Struct, frozen=True):
    """One message of a request."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[ContentPart] | None = None
    tool_calls: list[CalledTool] | None = None
    tool_call_id: str = ""
    reasoning_content: str | None = None

    @property
    def said(self) -> str:
        if isinstance(self.content, list):
            return " ".join(part.text for part in self.content if part.text)
        return self.content or ""


class StreamOptions(msgspec.Struct, frozen=True):
    """Whether the client wants usage in its stream."""

    include_usage: bool = False


class ChatBody(msgspec.Struct, frozen=True):
    """The fields that change what comes back; all others are taken and left."""

    messages: list[ChatMessage]
    model: str = ""
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    stop: str | list[str] | None = None
    n: int | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def counts(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage


class ChatDialect(Dialect):
    """A service that speaks the OpenAI chat shape. The facts and small methods below are all that siblings change."""

    reasoning_field: ClassVar[str] = ""
    """The field of a message or delta in which reasoning is shown; empty: it is only counted."""
    usage_in_stream: ClassVar[Literal["asked", "own", "last"]] = "asked"
    """A chunk of its own where the client asked; always a chunk of its own; always in the last chunk with a choice."""
    waiting_whole: ClassVar[bytes] = b""
    waiting_stream: ClassVar[bytes] = b""
    root: ClassVar[str] = "/v1"

    def routes(self) -> list[Route]:
        return [
            Route("POST", f"{self.root}/chat/completions", self.chat),
            Route("GET", f"{self.root}/models", self.list_models),
        ]

    def error(self, refused: Refused) -> bytes:
        return encode({"error": self.error_object(refused)})

    def error_event(self, call: Call, refused: Refused) -> bytes:
        return event({"error": self.error_object(refused)})

    def error_object(self, refused: Refused) -> Object:
        return {
            "message": refused.message,
            "type": refused.kind or _kind(refused.status),
            "param": refused.param or None,
            "code": refused.code or None,
        }

    def list_models(self, call: Call) -> Reply:
        self.admit(call)
        return self.whole(call, {"object": "list", "data": [self.model_row(model) for model in self.models]})

    def model_row(self, model: str) -> Object:
        return {"id": model, "object": "model", "created": CREATED, "owned_by": self.name}

    def check(self, body: ChatBody) -> None:
        """Raises `Refused` for what this service does not take."""

    def limit(self, body: ChatBody) -> int | None:
        """The bound on completion tokens, in the field that this service reads."""
        return body.max_completion_tokens if body.max_completion_tokens is not None else body.max_tokens

    def usage_object(self, usage: Usage, model: str) -> Object:
        return {
            "prompt_tokens": usage.prompt,
            "completion_tokens": usage.completion,
            "total_tokens": usage.total,
            "prompt_tokens_details": {"cached_tokens": usage.cached, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": usage.reasoning,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }

    def charge(self, answer: Answer, prompt: int, copies: int, model: str) -> Usage:
        return answer.charge(prompt, copies)

    def envelope(self, call: Call, model: str) -> Object:
        """Fields at the top of an answer and of every chunk."""
        return {
            "id": f"chatcmpl-fake{call.number}",
            "created": CREATED,
            "model": model,
            "system_fingerprint": "fp_fake",
        }

    def ending(self, finish: Finish) -> Object:
        """Fields of a choice that has ended, beside its `finish_reason`."""
        return {}

    def reasoning(self, text: str) -> Object:
        """How a message or delta shows reasoning."""
        return {self.reasoning_field: text} if self.reasoning_field and text else {}

    def chat(self, call: Call) -> Reply:
        self.admit(call)
        body = call.read(ChatBody)
        self.find(body.model)
        check_messages(body)
        self.check(body)
        answer = call.script(body.model, Answer(text=last_user_text(body.messages))).bounded(
            self.limit(body), body.stops
        )
        prompt = sum(count(message.said) for message in body.messages)
        usage = self.charge(answer, prompt, body.n or 1, body.model)
        return (self._stream if body.stream else self._message)(call, body, answer, usage)

    def _message(self, call: Call, body: ChatBody, answer: Answer, usage: Usage) -> Reply:
        message = {
            "role": "assistant",
            "content": answer.text or None if answer.tool_calls or answer.refusal else answer.text,
            "refusal": answer.refusal or None,
            **self.reasoning(answer.thinking),
        }
        if answer.tool_calls:
            message["tool_calls"] = [_called(answer, index) for index in range(len(answer.tool_calls))]
        assert answer.finish
        choices = [
            {"index": index, "message": message, "logprobs": None, "finish_reason": answer.finish}
            | self.ending(answer.finish)
            for index in range(body.n or 1)
        ]
        whole: Object = {"object": "chat.completion", **self.envelope(call, body.model), "choices": choices}
        if "no_usage" not in answer.oddities:
            whole["usage"] = self.usage_object(usage, body.model)
        piece = Piece(encode(whole), usage.completion)
        headers = JSON | self.headers(call)
        return Reply(200, headers, [piece], usage, waiting=self.waiting_whole, pacing=answer.pacing)

    def _stream(self, call: Call, body: ChatBody, answer: Answer, usage: Usage) -> Reply:
        return Reply(
            200,
            {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"} | self.headers(call),
            odd(self._events(call, body, answer, usage), answer.oddities),
            usage,
            stream=True,
            waiting=self.waiting_stream,
            pacing=answer.pacing,
        )

    def _events(self, call: Call, body: ChatBody, answer: Answer, usage: Usage) -> Iterator[Piece]:
        own, last = self._usage_places(body, answer)
        report = self.usage_object(usage, body.model)
        envelope: Object = {"object": "chat.completion.chunk", **self.envelope(call, body.model)}
        if own:
            envelope["usage"] = None

        def chunk(choice: Object, carried: int = 0, more: Object = _NOTHING) -> Piece:
            return Piece(event(envelope | {"choices": [choice]} | more), carried)

        copies = range(body.n or 1)
        for index in copies:
            yield chunk(_choice(index, {"role": "assistant", "content": "", "refusal": None}))
        for delta, carried in self._deltas(answer):
            for index in copies:
                yield chunk(_choice(index, delta), carried)
        assert answer.finish
        ending = {"finish_reason": answer.finish} | self.ending(answer.finish)
        for index in copies:
            final = last and index == copies[-1]
            yield chunk(_choice(index, {}) | ending, more={"usage": report} if final else _NOTHING)
        if "second_finish" in answer.oddities:
            yield chunk(_choice(0, {"content": ""}) | ending)
        if own:
            yield Piece(event(envelope | {"choices": [], "usage": report}))
        yield Piece(DONE)

    def _usage_places(self, body: ChatBody, answer: Answer) -> tuple[bool, bool]:
        """Whether usage comes in a chunk of its own, and in the last chunk with a choice."""
        wanted = body.counts or self.usage_in_stream != "asked"
        if "no_usage" in answer.oddities or not wanted:
            return False, False
        if "usage_twice" in answer.oddities:
            return True, True
        last = self.usage_in_stream == "last" or "usage_last" in answer.oddities
        return not last, last

    def _deltas(self, answer: Answer) -> Iterator[tuple[Object, int]]:
        for token in tokens(answer.thinking) if self.reasoning_field else []:
            yield {"content": None, **self.reasoning(token)}, count(token)
        if not self.reasoning_field and answer.thinking:
            yield {}, answer.reasoning_tokens
        for token in tokens(answer.text):
            yield {"content": token}, count(token)
        for token in tokens(answer.refusal):
            yield {"refusal": token}, count(token)
        for index, call in enumerate(answer.tool_calls):
            opened = _called(answer, index)
            opened["function"] = {"name": call.name, "arguments": ""}
            yield {"tool_calls": [{"index": index, **opened}]}, count(call.name)
            for token in tokens(call.arguments):
                yield {"tool_calls": [{"index": index, "function": {"arguments": token}}]}, count(token)


def last_user_text(messages: list[ChatMessage]) -> str:
    """What the default answer echoes."""
    return next((message.said for message in reversed(messages) if message.role == "user"), "")


def check_messages(body: ChatBody) -> None:
    """The rules on which every service of this shape agrees. Raises `Refused`."""
    if not body.messages:
        raise Refused(400, "messages holds no message; it needs at least one.", code="empty_array", param="messages")
    if body.n is not None and not 1 <= body.n <= 128:
        raise Refused(400, "n is from 1 to 128.", code="integer_out_of_range", param="n")
    if body.stream_options is not None and not body.stream:
        raise Refused(400, "stream_options goes only with stream.", param="stream_options")
    open_calls: set[str] = set()
    for index, message in enumerate(body.messages):
        if message.role == "tool":
            if message.tool_call_id not in open_calls:
                said = "A tool message must answer a tool call of the assistant message before it."
                raise Refused(400, said, param=f"messages.[{index}].role")
            open_calls.discard(message.tool_call_id)
            continue
        if open_calls:
            said = f"Tool calls without an answer: {', '.join(sorted(open_calls))}."
            raise Refused(400, said, param=f"messages.[{index}].role")
        open_calls = {called.id for called in message.tool_calls or []}


def _choice(index: int, delta: Object) -> Object:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}


def _called(answer: Answer, index: int) -> Object:
    call = answer.tool_calls[index]
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id or f"call_fake{index}", "type": "function", "function": function}


def _kind(status: int) -> str:
    kinds = {429: "requests", 401: "invalid_request_error", 403: "invalid_request_error"}
    return kinds.get(status, "invalid_request_error" if status < 500 else "server_error")
