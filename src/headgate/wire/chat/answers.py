"""Whole chat completions answers, read into the neutral reply and written out of it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator

import msgspec

from headgate.errors import UpstreamProtocolError
from headgate.wire.base import encode
from headgate.wire.chat import reasoning
from headgate.wire.chat.answer_shapes import (
    Annotation,
    AnswerChoice,
    AnswerMessage,
    ChatCompletion,
    FinishReason,
    URLCitation,
)
from headgate.wire.chat.request_shapes import FunctionCall, FunctionToolCall, ReasoningDetail
from headgate.wire.conversation import AnyPart, Choice, Citation, Refusal, Reply, Stop, Text, Thinking, ToolCall
from headgate.wire.usage import read_usage, write_usage

_STOPS: dict[str, Stop] = {
    "stop": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
FINISH_REASONS: dict[Stop, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "pause": "stop",
}


class CallFunctionSeen(msgspec.Struct):
    """The function of a call, or a piece of it, as a provider sends it."""

    name: str | None = None
    arguments: str | None = None


class CallSeen(msgspec.Struct):
    """A tool call, or a piece of it, as a provider sends it."""

    index: int | None = None
    id: str | None = None
    function: CallFunctionSeen | None = None


class CitationSeen(msgspec.Struct):
    """A source as a provider sends it."""

    url: str = ""
    title: str | None = None
    content: str | None = None


class AnnotationSeen(msgspec.Struct):
    """A note as a provider sends it; kinds other than `url_citation` say nothing here."""

    url_citation: CitationSeen | None = None


class Said(msgspec.Struct):
    """A message or a delta as providers really send them: any field may be absent or null."""

    content: str | None = None
    refusal: str | None = None
    tool_calls: list[CallSeen] | None = None
    function_call: CallFunctionSeen | None = None
    annotations: list[AnnotationSeen] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    thinking: str | None = None
    reasoning_details: list[ReasoningDetail] | None = None


class _ChoiceSeen(msgspec.Struct):
    index: int = 0
    message: Said | None = None
    finish_reason: str | None = None


class _AnswerSeen(msgspec.Struct):
    choices: list[_ChoiceSeen]
    id: str | None = None
    created: float | None = None
    model: str | None = None
    usage: msgspec.Raw = msgspec.Raw(b"null")


_decode = msgspec.json.Decoder(_AnswerSeen).decode


def read(body: bytes) -> Reply:
    """Reads an answer that was looked at before. Raises `UpstreamProtocolError` where its choices make no sense."""
    try:
        seen = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamProtocolError(f"the provider's answer is no chat completion: {error}") from None
    if not seen.choices:
        raise UpstreamProtocolError("the provider's answer has no choices")
    answer_id = seen.id or ""
    return Reply(
        id=answer_id,
        model=seen.model or "",
        choices=tuple(_read_choice(choice, answer_id) for choice in sorted(seen.choices, key=lambda seen: seen.index)),
        usage=read_usage(seen.usage),
        created=int(seen.created or 0),
    )


def _read_choice(seen: _ChoiceSeen, answer_id: str) -> Choice:
    said = seen.message or Said()
    parts = tuple(_read_parts(said, answer_id))
    return Choice(parts, read_stop(seen.finish_reason or "stop", any(isinstance(part, ToolCall) for part in parts)))


def _read_parts(said: Said, answer_id: str) -> Iterator[AnyPart]:
    yield from reasoning.read(said)
    if said.content:
        yield Text(said.content)
    yield from read_citations(said)
    if said.refusal:
        yield Refusal(said.refusal)
    for position, call in enumerate(said.tool_calls or ()):
        function = call.function or CallFunctionSeen()
        yield ToolCall(call.id or made_call_id(answer_id, position), function.name or "", function.arguments or "")
    if legacy := said.function_call:
        yield ToolCall(made_call_id(answer_id, 0), legacy.name or "", legacy.arguments or "")


def read_citations(said: Said) -> Iterator[Citation]:
    """The sources that a message or a delta names."""
    for annotation in said.annotations or ():
        if source := annotation.url_citation:
            yield Citation(source.url, source.title or "", source.content or "")


def read_stop(reason: str, called: bool) -> Stop:
    """OpenAI says `stop` where a tool was forced, and others wherever one was called: a call is `tool_calls`."""
    stop = _STOPS.get(reason, "stop")
    return "tool_calls" if called and stop == "stop" else stop


def made_call_id(answer_id: str, position: int) -> str:
    """An id for a call whose provider gave none: unique in a conversation, the same each time it is read."""
    return f"call_{answer_id}_{position}"


def made_answer_id() -> str:
    """An id in OpenAI's form, for an answer whose provider gave none."""
    return f"chatcmpl-{uuid.uuid4().hex}"


def write(reply: Reply) -> bytes:
    """An answer. The chat wire wants an id and a time: they are made where the provider's dialect has none."""
    completion = ChatCompletion(
        id=reply.id or made_answer_id(),
        object="chat.completion",
        created=reply.created or int(time.time()),
        model=reply.model,
        choices=[_write_choice(index, choice) for index, choice in enumerate(reply.choices)],
        usage=write_usage(reply.usage) if reply.usage else None,
    )
    return encode(completion)


def _write_choice(index: int, choice: Choice) -> AnswerChoice:
    parts = choice.parts
    text = "".join(part.text for part in parts if isinstance(part, Text))
    calls = [
        FunctionToolCall(part.id, FunctionCall(part.name, part.arguments))
        for part in parts
        if isinstance(part, ToolCall)
    ]
    thought, details = reasoning.write([part for part in parts if isinstance(part, Thinking)])
    refusal = "".join(part.text for part in parts if isinstance(part, Refusal))
    message = AnswerMessage(
        role="assistant",
        content=text if text or not (calls or refusal) else None,
        refusal=refusal or None,
        annotations=list(_write_citations(parts)) or None,
        tool_calls=calls or None,
        reasoning_content=thought,
        reasoning_details=details,
    )
    return AnswerChoice(index, message, FINISH_REASONS[choice.stop or "stop"])


def _write_citations(parts: tuple[AnyPart, ...]) -> Iterator[Annotation]:
    span = CitedSpan()
    length = 0
    for part in parts:
        if isinstance(part, Text):
            length += len(part.text)
        elif isinstance(part, Citation) and part.url:
            yield span.annotate(part, length)


class CitedSpan:
    """The stretch of text that a citation stands for: what was said since the last stretch that had one."""

    def __init__(self) -> None:
        self._start = 0
        self._end = 0

    def annotate(self, citation: Citation, length: int) -> Annotation:
        """`length` is that of the text so far, in characters."""
        if length != self._end:
            self._start, self._end = self._end, length
        return Annotation(URLCitation(citation.url, citation.title, self._start, self._end))
