"""Completions answers, whole and as chunks of a stream, read and written."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator

import msgspec

from headgate.errors import UpstreamFailed, UpstreamProtocolError
from headgate.wire import sse
from headgate.wire.base import Ask, Writer, encode
from headgate.wire.completions.shapes import Completion, CompletionChoice, FinishReason
from headgate.wire.conversation import (
    AnyEvent,
    Choice,
    Counted,
    Refusal,
    RefusalDelta,
    Reply,
    Started,
    Stop,
    Stopped,
    Text,
    TextDelta,
)
from headgate.wire.openai import NO_ERRORS, failure_inside, look_at
from headgate.wire.streams import EventReader
from headgate.wire.usage import read_usage, write_usage

_FINISH_REASONS: dict[Stop, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "stop",
    "content_filter": "content_filter",
    "pause": "stop",
}
_STOPS: dict[str, Stop] = {"length": "length", "content_filter": "content_filter"}
_NULL = msgspec.Raw(b"null")


class _ChoiceSeen(msgspec.Struct):
    text: str | None = None
    index: int = 0
    finish_reason: str | None = None


class _Seen(msgspec.Struct):
    id: str | None = None
    created: float | None = None
    model: str | None = None
    choices: list[_ChoiceSeen] | None = None
    usage: msgspec.Raw = _NULL
    error: msgspec.Raw = _NULL


_decode = msgspec.json.Decoder(_Seen).decode


def read_reply(body: bytes) -> Reply:
    """Reads an answer that was looked at before. Raises `UpstreamProtocolError` where it has no texts."""
    seen = _open(body)
    choices = sorted(seen.choices or (), key=lambda choice: choice.index)
    if not choices:
        raise UpstreamProtocolError("the provider's answer has no choices")
    return Reply(
        id=seen.id or "",
        model=seen.model or "",
        choices=tuple(_read_choice(choice) for choice in choices),
        usage=read_usage(seen.usage),
        created=int(seen.created or 0),
    )


def write_reply(reply: Reply) -> bytes:
    completion = Completion(
        id=reply.id or _made_id(),
        object="text_completion",
        created=reply.created or int(time.time()),
        model=reply.model,
        choices=[_write_choice(index, choice) for index, choice in enumerate(reply.choices)],
        usage=write_usage(reply.usage) if reply.usage else None,
    )
    return encode(completion)


def _read_choice(seen: _ChoiceSeen) -> Choice:
    return Choice((Text(seen.text),) if seen.text else (), _STOPS.get(seen.finish_reason or "", "stop"))


def _write_choice(index: int, choice: Choice) -> CompletionChoice:
    text = "".join(part.text for part in choice.parts if isinstance(part, Text | Refusal))
    return CompletionChoice(text, index, finish_reason=_FINISH_REASONS[choice.stop or "stop"])


def _made_id() -> str:
    return f"cmpl-{uuid.uuid4().hex}"


class ChunkReader(EventReader):
    """Reads `text_completion` chunks."""

    def __init__(self) -> None:
        super().__init__(look_at)
        self._stopped: dict[int, bool] = {}

    def complete(self) -> bool:
        return bool(self._stopped) and all(self._stopped.values())

    def read(self, frame: bytes, events: list[AnyEvent]) -> None:
        data = frame.strip()
        if data == b"[DONE]":
            events += self._end()
        elif data:
            events += self._chunk_events(_open(data))

    def _end(self) -> Iterator[AnyEvent]:
        """`[DONE]` is the provider's word that all was said, even where it gave no finish reason."""
        if not self._stopped:
            raise UpstreamProtocolError("the provider's stream has no event in it")
        self.ended = True
        yield from (Stopped("stop", index) for index, stopped in self._stopped.items() if not stopped)

    def _chunk_events(self, chunk: _Seen) -> Iterator[AnyEvent]:
        if chunk.choices and not self._stopped:
            yield Started(chunk.id or "", chunk.model or "", int(chunk.created or 0))
        for choice in chunk.choices or ():
            if self._stopped.setdefault(choice.index, False):
                continue
            if choice.text:
                yield TextDelta(choice.text, choice.index)
            if choice.finish_reason:
                self._stopped[choice.index] = True
                yield Stopped(_STOPS.get(choice.finish_reason, "stop"), choice.index)
        if usage := read_usage(chunk.usage):
            yield Counted(usage)


def _open(data: bytes) -> _Seen:
    try:
        chunk = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamProtocolError(f"the provider's answer is no completion: {error}") from None
    if bytes(chunk.error) not in NO_ERRORS:
        raise failure_inside(chunk.error)
    if any(choice.finish_reason == "error" for choice in chunk.choices or ()):
        raise UpstreamFailed("the provider failed while it answered, and gave no reason")
    return chunk


class ChunkWriter(Writer):
    """Writes `text_completion` chunks: texts, a finish reason; usage apart where the caller asked for it."""

    def __init__(self, ask: Ask) -> None:
        self._model = ask.model
        self._counts = ask.counts
        self._open = b""
        self._usage = b""

    def write(self, events: list[AnyEvent]) -> bytes:
        return b"".join(map(self._write_event, events))

    def finish(self) -> bytes:
        if not (self._counts and self._usage):
            return sse.DONE
        return b'%b],"usage":%b}\n\n%b' % (self._open, self._usage, sse.DONE)

    def _write_event(self, event: AnyEvent) -> bytes:
        match event:
            case TextDelta() | RefusalDelta():
                return self._chunk(event.text, event.choice, b"null")
            case Stopped():
                return self._chunk("", event.choice, encode(_FINISH_REASONS[event.stop]))
            case Started():
                self._open = self._opening(event)
            case Counted():
                self._usage = encode(write_usage(event.usage))
        return b""

    def _chunk(self, text: str, index: int, reason: bytes) -> bytes:
        usage = b',"usage":null' if self._counts else b""
        choice = b'{"text":%b,"index":%d,"logprobs":null,"finish_reason":%b}' % (encode(text), index, reason)
        return b"%b%b]%b}\n\n" % (self._open, choice, usage)

    def _opening(self, started: Started) -> bytes:
        return b'data: {"id":%b,"object":"text_completion","created":%d,"model":%b,"choices":[' % (
            encode(started.id or _made_id()),
            started.created or int(time.time()),
            encode(started.model or self._model),
        )
