"""Messages streams: a provider's events read into neutral ones, neutral ones written as Anthropic's."""

from __future__ import annotations

import msgspec

from headgate.errors import UpstreamProtocolError
from headgate.types import Usage
from headgate.wire import sse
from headgate.wire.base import Ask, Writer, encode
from headgate.wire.conversation import (
    AnyEvent,
    ArgumentsDelta,
    CitationAdded,
    Counted,
    RefusalDelta,
    Started,
    Stopped,
    TextDelta,
    ThinkingDelta,
    ToolCallStarted,
)
from headgate.wire.messages import answers, failures
from headgate.wire.messages.answer_shapes import MessageAnswer, MessageEnd, StopDetails
from headgate.wire.messages.answers import (
    AnswerSeen,
    BlockSeen,
    CitationSeen,
    StopDetailsSeen,
    UsageSeen,
    made_answer_id,
    read_stop,
    write_citation,
    write_stop,
    write_usage,
)
from headgate.wire.streams import EventReader


class _DeltaSeen(msgspec.Struct):
    type: str = ""
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    citation: CitationSeen | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetailsSeen | None = None


class EventSeen(msgspec.Struct):
    """An event of any type: providers add types, and what is unknown is passed over."""

    type: str = ""
    index: int = 0
    delta: _DeltaSeen | None = None
    content_block: BlockSeen | None = None
    message: AnswerSeen | None = None
    usage: UsageSeen | None = None
    error: failures.FailureSeen | None = None


_decode = msgspec.json.Decoder(EventSeen).decode


def open_event(data: bytes) -> EventSeen:
    """Raises `UpstreamProtocolError` for junk."""
    try:
        return _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamProtocolError(f"an event of the provider's stream is not readable: {error}") from None


class _Call:
    """A tool call that is open: its number among the calls, and whether it has arguments yet."""

    __slots__ = ("argued", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.argued = False


class MessagesReader(EventReader):
    """Reads Anthropic's events, also as those write them who imitate it."""

    def __init__(self) -> None:
        super().__init__(answers.look)
        self._usage = UsageSeen()
        self._calls: dict[int, _Call] = {}
        self._signature = ""
        self._stopped = False

    def read(self, frame: bytes, events: list[AnyEvent]) -> None:
        if not frame:
            return
        event = open_event(frame)
        match event.type:
            case "content_block_delta":
                if event.delta is not None:
                    self._read_delta(event.delta, event.index, events)
            case "content_block_start":
                self._open(event.content_block or BlockSeen(), event.index, events)
            case "content_block_stop":
                self._close(event.index, events)
            case "message_start":
                self._start(event.message or AnswerSeen(), events)
            case "message_delta":
                self._end(event.delta or _DeltaSeen(), event.usage, events)
            case "message_stop":
                self._stop(events)
            case "error":
                raise failures.read_event(event.error)

    def _start(self, message: AnswerSeen, events: list[AnyEvent]) -> None:
        events.append(Started(message.id or "", message.model or ""))
        if message.usage is not None:
            self._usage = message.usage
            if (usage := message.usage.usage(final=False)).total:
                events.append(Counted(usage))

    def _read_delta(self, delta: _DeltaSeen, index: int, events: list[AnyEvent]) -> None:
        if delta.text:
            events.append(TextDelta(delta.text))
        elif delta.partial_json:
            if call := self._calls.get(index):
                call.argued = True
                events.append(ArgumentsDelta(call.number, delta.partial_json))
        elif delta.thinking:
            events.append(ThinkingDelta(delta.thinking))
        elif delta.signature:
            self._signature += delta.signature
        elif delta.citation:
            events.append(CitationAdded(delta.citation.citation()))

    def _open(self, block: BlockSeen, index: int, events: list[AnyEvent]) -> None:
        match block.type:
            case "text" if block.text:
                events.append(TextDelta(block.text))
            case "thinking":
                self._signature = block.signature or ""
                if block.thinking:
                    events.append(ThinkingDelta(block.thinking))
            case "redacted_thinking":
                events.append(ThinkingDelta(redacted=block.data or ""))
            case "tool_use":
                call = self._calls[index] = _Call(len(self._calls))
                events.append(ToolCallStarted(call.number, block.id or "", block.name or ""))
                if (whole := bytes(block.input).strip()) not in (b"{}", b"null", b'""'):
                    call.argued = True
                    events.append(ArgumentsDelta(call.number, whole.decode()))

    def _close(self, index: int, events: list[AnyEvent]) -> None:
        if self._signature:
            events.append(ThinkingDelta(signature=self._signature))
            self._signature = ""
        if (call := self._calls.get(index)) and not call.argued:
            call.argued = True
            events.append(ArgumentsDelta(call.number, "{}"))

    def _end(self, delta: _DeltaSeen, usage: UsageSeen | None, events: list[AnyEvent]) -> None:
        if delta.stop_reason and not self._stopped:
            self._stopped = True
            if delta.stop_details and delta.stop_details.explanation:
                events.append(RefusalDelta(delta.stop_details.explanation))
            events.append(Stopped(read_stop(delta.stop_reason), stop_sequence=delta.stop_sequence or ""))
        if usage is not None:
            self._usage = self._usage.updated(usage)
            events.append(Counted(self._usage.usage()))

    def _stop(self, events: list[AnyEvent]) -> None:
        self.ended = True
        if not self._stopped:
            events.append(Stopped("tool_calls" if self._calls else "stop"))


_START = b'event: content_block_start\ndata: {"type":"content_block_start","index":%d,"content_block":%b}\n\n'
_STOP = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'
_DELTA = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"'


class MessagesWriter(Writer):
    """Writes Anthropic's events: blocks open and close one after another. Usage stands at the end, where all of it is
    known; the start counts nothing."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._index = -1
        self._kind = ""
        self._delta = b""
        self._blocks: dict[int, int] = {}
        self._usage = Usage()
        self._refusal = ""
        self._stopped = Stopped("stop")

    def write(self, events: list[AnyEvent]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if isinstance(event, TextDelta):
                if event.choice == 0:
                    self._open("text", b'{"type":"text","text":""}', out)
                    out.append(b'%btext_delta","text":%b}}\n\n' % (self._delta, encode(event.text)))
            elif isinstance(event, Counted):
                self._usage = event.usage
            elif isinstance(event, Started):
                self._start(event, out)
            elif event.choice == 0:
                self._write_rarer(event, out)
        return b"".join(out)

    def finish(self) -> bytes:
        out: list[bytes] = []
        self._close(out)
        end = MessageEnd(
            stop_reason=write_stop(self._stopped.stop, self._stopped.stop_sequence, self._refusal),
            stop_sequence=self._stopped.stop_sequence or None,
            stop_details=StopDetails(self._refusal) if self._refusal else None,
        )
        data = b'{"type":"message_delta","delta":%b,"usage":%b}' % (encode(end), encode(write_usage(self._usage)))
        out.append(sse.write(data, "message_delta"))
        out.append(sse.write(b'{"type":"message_stop"}', "message_stop"))
        return b"".join(out)

    def _start(self, started: Started, out: list[bytes]) -> None:
        message = MessageAnswer(
            id=started.id or made_answer_id(),
            role="assistant",
            model=started.model or self._ask.model,
            content=[],
            stop_reason=None,
            stop_sequence=None,
            usage=write_usage(Usage()),
        )
        out.append(sse.write(b'{"type":"message_start","message":%b}' % encode(message), "message_start"))

    def _open(self, kind: str, block: bytes, out: list[bytes]) -> None:
        """Makes the open block one of this kind; one that is open already goes on."""
        if kind == self._kind:
            return
        self._close(out)
        self._index += 1
        self._kind = kind
        self._delta = _DELTA % self._index
        out.append(_START % (self._index, block))

    def _close(self, out: list[bytes]) -> None:
        if self._kind:
            out.append(_STOP % self._index)
            self._kind = ""

    def _write_rarer(self, event: AnyEvent, out: list[bytes]) -> None:
        match event:
            case ArgumentsDelta():
                delta = _DELTA % self._blocks[event.index]
                out.append(b'%binput_json_delta","partial_json":%b}}\n\n' % (delta, encode(event.text)))
            case ToolCallStarted():
                block = b'{"type":"tool_use","id":%b,"name":%b,"input":{}}' % (encode(event.id), encode(event.name))
                self._open(f"call {event.index}", block, out)
                self._blocks[event.index] = self._index
            case ThinkingDelta():
                self._think(event, out)
            case CitationAdded():
                self._open("text", b'{"type":"text","text":""}', out)
                citation = encode(write_citation(event.citation))
                out.append(b'%bcitations_delta","citation":%b}}\n\n' % (self._delta, citation))
            case RefusalDelta():
                self._refusal += event.text
            case Stopped():
                self._stopped = event

    def _think(self, event: ThinkingDelta, out: list[bytes]) -> None:
        if event.redacted:
            self._close(out)
            self._open("redacted", b'{"type":"redacted_thinking","data":%b}' % encode(event.redacted), out)
            self._close(out)
            return
        self._open("thinking", b'{"type":"thinking","thinking":"","signature":""}', out)
        if event.text:
            out.append(b'%bthinking_delta","thinking":%b}}\n\n' % (self._delta, encode(event.text)))
        if event.signature:
            out.append(b'%bsignature_delta","signature":%b}}\n\n' % (self._delta, encode(event.signature)))
            self._close(out)
