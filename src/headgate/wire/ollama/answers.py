"""Answers of Ollama's native chat, whole and as lines of a stream, read and written and followed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from headgate.errors import UpstreamError, UpstreamProtocolError, WireNotServed
from headgate.types import Usage
from headgate.wire import ndjson
from headgate.wire.base import Passage, Writer, encode
from headgate.wire.conversation import (
    AnyEvent,
    ArgumentsDelta,
    Choice,
    Counted,
    Message,
    RefusalDelta,
    Reply,
    Started,
    Stop,
    Stopped,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    ToolCallStarted,
)
from headgate.wire.ollama.messages import CallIds, read_parts, write_call, write_message
from headgate.wire.ollama.shapes import ChatAnswer, ChatMessage
from headgate.wire.openai import failure_inside
from headgate.wire.streams import Follower, LineReader

_decode = msgspec.json.Decoder(ChatAnswer).decode


def open_answer(data: bytes) -> ChatAnswer:
    """Raises `UpstreamProtocolError` for junk, `UpstreamFailed` and its like for an error object."""
    try:
        answer = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UpstreamProtocolError("the provider's answer is not JSON of the expected shape") from None
    if answer.error:
        raise failure_inside(encode(answer.error))
    if answer.message is None and not answer.done:
        raise UpstreamProtocolError("the provider's answer has no `message`")
    return answer


def usage_of(answer: ChatAnswer) -> Usage | None:
    if answer.prompt_eval_count is None and answer.eval_count is None:
        return None
    return Usage(prompt=answer.prompt_eval_count or 0, completion=answer.eval_count or 0)


def read_reply(body: bytes) -> Reply:
    answer = open_answer(body)
    parts = read_parts(answer.message or ChatMessage(), CallIds())
    called = any(isinstance(part, ToolCall) for part in parts)
    return Reply(
        id="",
        model=answer.model or "",
        choices=(Choice(parts, _read_stop(answer, called)),),
        usage=usage_of(answer),
        created=_read_time(answer.created_at),
    )


def write_reply(reply: Reply) -> bytes:
    """Writes the first choice: the dialect has no more. Raises `UpstreamProtocolError` for tool arguments that are no
    object."""
    choice = reply.choices[0]
    try:
        message = write_message(Message("assistant", choice.parts))
    except WireNotServed as error:
        raise UpstreamProtocolError(f"the model's answer does not fit Ollama's shape: {error.message}") from None
    return encode(_final(reply.model, _write_time(reply.created), message, choice.stop, reply.usage))


def _final(model: str, at: str, message: ChatMessage, stop: Stop | None, usage: Usage | None) -> ChatAnswer:
    return ChatAnswer(
        model=model,
        created_at=at,
        message=message,
        done=True,
        done_reason="length" if stop == "length" else "stop",
        prompt_eval_count=usage.prompt if usage else None,
        eval_count=usage.completion if usage else None,
    )


def _read_stop(answer: ChatAnswer, called: bool) -> Stop:
    if answer.done_reason == "length":
        return "length"
    return "tool_calls" if called else "stop"


def _read_time(said: str | None) -> int:
    """Epoch seconds; 0 for a time that cannot be read, since an answer is no worse for it."""
    try:
        return max(0, int(datetime.fromisoformat(said or "").timestamp()))
    except (ValueError, OverflowError):
        return 0


def _write_time(created: int) -> str:
    at = datetime.fromtimestamp(created, UTC) if created else datetime.now(UTC)
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


class ChatReader(LineReader):
    """Reads the lines of a stream into events. Ids of tool calls are made where the server gives none."""

    def __init__(self) -> None:
        super().__init__(open_answer)
        self._ids = CallIds()
        self._calls = 0
        self._begun = False

    def read(self, frame: bytes, events: list[AnyEvent]) -> None:
        events += self._events(open_answer(frame))

    def _events(self, answer: ChatAnswer) -> Iterator[AnyEvent]:
        if not self._begun:
            self._begun = True
            yield Started("", answer.model or "", _read_time(answer.created_at))
        if message := answer.message:
            yield from self._deltas(message)
        if answer.done:
            self.ended = True
            yield Stopped(_read_stop(answer, bool(self._calls)))
            if usage := usage_of(answer):
                yield Counted(usage)

    def _deltas(self, message: ChatMessage) -> Iterator[AnyEvent]:
        if message.thinking:
            yield ThinkingDelta(message.thinking)
        if message.content:
            yield TextDelta(message.content)
        for call in message.tool_calls or ():
            yield ToolCallStarted(self._calls, self._ids.give(call), call.function.name)
            yield ArgumentsDelta(self._calls, bytes(call.function.arguments).decode())
            self._calls += 1


class LineWriter(Writer):
    """Writes events as lines. Tool calls go out whole, in the last line but one; other choices than the first go."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._at = _write_time(0)
        self._stop: Stop | None = None
        self._usage: Usage | None = None
        self._calls: dict[int, ToolCall] = {}

    def write(self, events: list[AnyEvent]) -> bytes:
        return b"".join(map(self._write_event, events))

    def finish(self) -> bytes:
        final = _final(self._model, self._at, ChatMessage("assistant", ""), self._stop, self._usage)
        return self._write_calls() + ndjson.write(encode(final))

    def _write_event(self, event: AnyEvent) -> bytes:
        match event:
            case Started():
                self._model, self._at = event.model or self._model, _write_time(event.created)
            case Counted():
                self._usage = event.usage
            case TextDelta(choice=0) | RefusalDelta(choice=0):
                return self._line(ChatMessage("assistant", event.text))
            case ThinkingDelta(choice=0) if event.text:
                return self._line(ChatMessage("assistant", "", event.text))
            case ToolCallStarted(choice=0):
                self._calls[event.index] = ToolCall(event.id, event.name, "")
            case ArgumentsDelta(choice=0):
                call = self._calls[event.index]
                self._calls[event.index] = ToolCall(call.id, call.name, call.arguments + event.text)
            case Stopped(choice=0):
                self._stop = event.stop
        return b""

    def _line(self, message: ChatMessage) -> bytes:
        return ndjson.write(encode(ChatAnswer(self._model, self._at, message, done=False)))

    def _write_calls(self) -> bytes:
        if not self._calls:
            return b""
        try:
            calls = [write_call(call, index, "message") for index, call in self._calls.items()]
        except WireNotServed as error:
            raise UpstreamProtocolError(f"the model's answer does not fit Ollama's shape: {error.message}") from None
        return msgspec.json.format(self._line(ChatMessage("assistant", "", tool_calls=calls)), indent=-1) + b"\n"


class LinePassage(Follower[bytes], Passage):
    """Follows a stream whose lines pass unchanged."""

    def __init__(self) -> None:
        super().__init__(ndjson.Splitter(), open_answer)

    def take(self, frames: bytes) -> bytes:
        passed = []
        try:
            for line in ndjson.read(frames):
                self._notice(open_answer(line))
                passed.append(ndjson.write(line))
                if self.ended:
                    break
        except UpstreamError as error:
            self.fail(error)
        return b"".join(passed)

    def _notice(self, answer: ChatAnswer) -> None:
        self.model = self.model or answer.model or ""
        self.ended = bool(answer.done)
        self.usage = usage_of(answer)
        message = answer.message or ChatMessage()
        self.pieces += bool(message.content or message.thinking or message.tool_calls)
