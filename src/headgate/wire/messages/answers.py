"""Whole messages answers, read into the neutral reply and written out of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import msgspec

from headgate.errors import UpstreamProtocolError
from headgate.types import Usage
from headgate.wire.base import Look, encode
from headgate.wire.conversation import AnyPart, Choice, Citation, Refusal, Reply, Stop, Text, Thinking, ToolCall
from headgate.wire.messages import failures
from headgate.wire.messages.answer_shapes import (
    AnyAnswerBlock,
    MessageAnswer,
    OutputDetails,
    RedactedThinkingAnswer,
    SourceLocation,
    StopDetails,
    StopReason,
    TextAnswer,
    ThinkingAnswer,
    ToolUseAnswer,
    UsageAnswer,
)
from headgate.wire.usage import Count, whole

_STOPS: dict[str, Stop] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    "refusal": "content_filter",
}
_REASONS: dict[Stop, StopReason] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "pause": "pause_turn",
    "content_filter": "refusal",
}


class _DetailsSeen(msgspec.Struct):
    thinking_tokens: Count = None


class UsageSeen(msgspec.Struct):
    """Counts as they come: in a stream each event says some of them, and a later one wins."""

    input_tokens: Count = None
    output_tokens: Count = None
    cache_creation_input_tokens: Count = None
    cache_read_input_tokens: Count = None
    output_tokens_details: _DetailsSeen | None = None

    def updated(self, later: UsageSeen) -> UsageSeen:
        pairs = zip(msgspec.structs.astuple(self), msgspec.structs.astuple(later), strict=True)
        return UsageSeen(*(old if new is None else new for old, new in pairs))

    def usage(self, *, final: bool = True) -> Usage:
        """Anthropic's input tokens leave out what the prompt cache served or took; ours, as OpenAI's, hold all. A
        stream begins with a completion count that is not final: nothing has been said yet."""
        cached, stored = whole(self.cache_read_input_tokens), whole(self.cache_creation_input_tokens)
        return Usage(
            prompt=whole(self.input_tokens) + cached + stored,
            completion=whole(self.output_tokens),
            cached=cached,
            cache_written=stored,
            reasoning=whole(self.output_tokens_details.thinking_tokens) if self.output_tokens_details else 0,
            estimated=not final,
        )


class CitationSeen(msgspec.Struct):
    """A source as a provider sends it: a web page or a document of the request."""

    url: str | None = None
    title: str | None = None
    document_title: str | None = None
    cited_text: str | None = None

    def citation(self) -> Citation:
        """The source in no dialect."""
        return Citation(self.url or "", self.title or self.document_title or "", self.cited_text or "")


class BlockSeen(msgspec.Struct):
    """A block of any type: providers add types, and what is unknown is passed over."""

    type: str = ""
    text: str | None = None
    citations: list[CitationSeen] | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = msgspec.Raw(b"{}")


class StopDetailsSeen(msgspec.Struct):
    """Why an answer ended, in words."""

    explanation: str | None = None


class AnswerSeen(msgspec.Struct):
    """A whole answer, an error, or the message that a stream starts with, as a provider sends it."""

    type: str = ""
    id: str | None = None
    model: str | None = None
    content: list[BlockSeen] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetailsSeen | None = None
    usage: UsageSeen | None = None
    error: failures.FailureSeen | None = None


_decode = msgspec.json.Decoder(AnswerSeen).decode


def _open(body: bytes) -> AnswerSeen:
    try:
        seen = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamProtocolError(f"the provider's answer is no message: {error}") from None
    if seen.type == "error" or seen.error:
        raise failures.read(seen.error)
    if seen.content is None:
        raise UpstreamProtocolError("the provider's answer has no list of `content`")
    return seen


def look(body: bytes) -> Look:
    """Notices usage and model. Raises as `read` does."""
    seen = _open(body)
    return Look(seen.usage.usage() if seen.usage else None, seen.model or "")


def read(body: bytes) -> Reply:
    """Raises `UpstreamProtocolError` for junk and the provider's own error, if the body is one."""
    seen = _open(body)
    parts = [part for block in seen.content or () for part in _read_block(block)]
    if seen.stop_details and seen.stop_details.explanation:
        parts.append(Refusal(seen.stop_details.explanation))
    choice = Choice(tuple(parts), read_stop(seen.stop_reason or "end_turn"), seen.stop_sequence or "")
    return Reply(seen.id or "", seen.model or "", (choice,), seen.usage.usage() if seen.usage else None)


def read_stop(reason: str) -> Stop:
    """A reason that is unknown is an end like any other."""
    return _STOPS.get(reason, "stop")


def _read_block(block: BlockSeen) -> Iterator[AnyPart]:
    match block.type:
        case "text" if block.text:
            yield Text(block.text)
            yield from (citation.citation() for citation in block.citations or ())
        case "thinking":
            yield Thinking(block.thinking or "", block.signature or "")
        case "redacted_thinking":
            yield Thinking(redacted=block.data or "")
        case "tool_use":
            yield ToolCall(block.id or "", block.name or "", bytes(block.input).decode())


def made_answer_id() -> str:
    """An id in Anthropic's form, for an answer whose provider gave none."""
    return f"msg_{uuid.uuid4().hex}"


def write(reply: Reply) -> bytes:
    """An answer. Anthropic's has one choice, so the others of a reply are left out."""
    choice = reply.choices[0]
    refusal = "".join(part.text for part in choice.parts if isinstance(part, Refusal))
    answer = MessageAnswer(
        id=reply.id or made_answer_id(),
        role="assistant",
        model=reply.model,
        content=_write_blocks(choice.parts),
        stop_reason=write_stop(choice.stop or "stop", choice.stop_sequence, refusal),
        stop_sequence=choice.stop_sequence or None,
        usage=write_usage(reply.usage or Usage()),
        stop_details=StopDetails(refusal) if refusal else None,
    )
    return encode(answer)


def write_stop(stop: Stop, stop_sequence: str, refusal: str) -> StopReason:
    """Anthropic tells a stop sequence from an end, and a refusal is a reason to stop."""
    if refusal:
        return "refusal"
    return "stop_sequence" if stop_sequence else _REASONS[stop]


def write_usage(usage: Usage) -> UsageAnswer:
    """The inverse of `UsageSeen.usage`."""
    return UsageAnswer(
        input_tokens=max(0, usage.prompt - usage.cached - usage.cache_written),
        output_tokens=usage.completion,
        cache_creation_input_tokens=usage.cache_written or None,
        cache_read_input_tokens=usage.cached or None,
        output_tokens_details=OutputDetails(usage.reasoning) if usage.reasoning else None,
    )


def _write_blocks(parts: tuple[AnyPart, ...]) -> list[AnyAnswerBlock]:
    blocks: list[AnyAnswerBlock] = []
    for part in parts:
        match part:
            case Text():
                blocks.append(TextAnswer(part.text))
            case Citation():
                if not (blocks and isinstance(blocks[-1], TextAnswer)):
                    blocks.append(TextAnswer(""))
                _cite(blocks[-1], part)
            case Thinking(redacted=data) if data:
                blocks.append(RedactedThinkingAnswer(data))
            case Thinking():
                blocks.append(ThinkingAnswer(part.text, part.signature))
            case ToolCall():
                blocks.append(ToolUseAnswer(part.id, part.name, written_input(part.arguments)))
    return blocks


def _cite(block: AnyAnswerBlock, citation: Citation) -> None:
    if isinstance(block, TextAnswer):
        block.citations = [*(block.citations or ()), write_citation(citation)]


def write_citation(citation: Citation) -> SourceLocation:
    """A source. Anthropic's other kinds point into documents of the request, which a caller's answer need not have."""
    return SourceLocation(citation.url, citation.title or None, citation.quote)


def written_input(arguments: str) -> msgspec.Raw:
    """A tool's arguments as the object that Anthropic's clients expect. What a model wrote that is none is not lost:
    it stands under a key of its own."""
    text = arguments.strip().encode() or b"{}"
    try:
        whole = isinstance(msgspec.json.decode(text), dict)
    except (msgspec.DecodeError, RecursionError):
        whole = False
    return msgspec.Raw(text if whole else encode({"arguments": arguments}))
