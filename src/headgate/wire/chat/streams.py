"""Chat completions streams: a provider's chunks read into events, events written as chunks."""

from __future__ import annotations

import time

import msgspec

from headgate.errors import UpstreamFailed, UpstreamProtocolError
from headgate.wire import sse
from headgate.wire.base import Ask, Writer, encode
from headgate.wire.chat import reasoning
from headgate.wire.chat.answers import (
    FINISH_REASONS,
    CallFunctionSeen,
    CallSeen,
    CitedSpan,
    Said,
    made_answer_id,
    made_call_id,
    read_citations,
    read_stop,
)
from headgate.wire.conversation import (
    AnyEvent,
    ArgumentsDelta,
    CitationAdded,
    Counted,
    RefusalDelta,
    Started,
    Stopped,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCallStarted,
)
from headgate.wire.openai import NO_ERRORS, failure_event, look_at
from headgate.wire.streams import EventReader
from headgate.wire.usage import read_usage, write_usage


class _ChoiceSeen(msgspec.Struct):
    index: int = 0
    delta: Said | None = None
    finish_reason: str | None = None


class _ChunkSeen(msgspec.Struct):
    id: str | None = None
    created: float | None = None
    model: str | None = None
    choices: list[_ChoiceSeen] | None = None
    usage: msgspec.Raw = msgspec.Raw(b"null")
    error: msgspec.Raw = msgspec.Raw(b"null")


_decode = msgspec.json.Decoder(_ChunkSeen).decode
Rarer = ThinkingDelta | RefusalDelta | ToolCallStarted | ArgumentsDelta | CitationAdded | Stopped
_NULL = msgspec.Raw(b"null")


class _Course:
    """How far one choice has come."""

    __slots__ = ("calls", "ids", "reasons", "stopped")

    def __init__(self) -> None:
        self.calls: dict[int, int] = {}
        self.ids: list[str] = []
        self.reasons = False
        self.stopped = False


class ChatReader(EventReader):
    """Reads chunks of any provider that imitates OpenAI's."""

    def __init__(self) -> None:
        super().__init__(look_at)
        self._courses: dict[int, _Course] = {}
        self._id = ""
        self._started = False

    def complete(self) -> bool:
        return bool(self._courses) and all(course.stopped for course in self._courses.values())

    def read(self, frame: bytes, events: list[AnyEvent]) -> None:
        data = frame.strip()
        if not data:
            return
        if data == b"[DONE]":
            self._end(events)
            return
        try:
            chunk = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UpstreamProtocolError(f"an event of the provider's stream is no chunk: {error}") from None
        if chunk.error != _NULL and bytes(chunk.error) not in NO_ERRORS:
            raise failure_event(chunk.error)
        if not self._started and chunk.choices:
            self._started = True
            self._id = chunk.id or ""
            events.append(Started(self._id, chunk.model or "", int(chunk.created or 0)))
        for choice in chunk.choices or ():
            self._read_choice(choice, events)
        if chunk.usage != _NULL and (usage := read_usage(chunk.usage)):
            events.append(Counted(usage))

    def _end(self, events: list[AnyEvent]) -> None:
        """`[DONE]` is the provider's word that all was said, even where it gave no finish reason."""
        if not self._courses:
            raise UpstreamProtocolError("the provider's stream has no event in it")
        self.ended = True
        for index, course in self._courses.items():
            if not course.stopped:
                events.append(Stopped(read_stop("stop", bool(course.ids)), index))

    def _read_choice(self, choice: _ChoiceSeen, events: list[AnyEvent]) -> None:
        index, said = choice.index, choice.delta
        course = self._courses.get(index)
        if course is None:
            course = self._courses[index] = _Course()
        if said is not None and not course.stopped:
            if text := reasoning.plain(said):
                course.reasons = True
                events.append(ThinkingDelta(text, choice=index))
            if said.reasoning_details:
                self._read_details(said, course, index, events)
            if said.content:
                events.append(TextDelta(said.content, index))
            self._read_rest(said, course, index, events)
        if choice.finish_reason and not course.stopped:
            if choice.finish_reason == "error":
                raise UpstreamFailed("the provider failed while it answered, and gave no reason")
            course.stopped = True
            events.append(Stopped(read_stop(choice.finish_reason, bool(course.ids)), index))

    def _read_details(self, said: Said, course: _Course, index: int, events: list[AnyEvent]) -> None:
        for detail in said.reasoning_details or ():
            text = detail.text or detail.summary
            if text and not course.reasons:
                events.append(ThinkingDelta(text, choice=index))
            if detail.data:
                events.append(ThinkingDelta(redacted=detail.data, choice=index))
            if detail.signature:
                events.append(ThinkingDelta(signature=detail.signature, choice=index))

    def _read_rest(self, said: Said, course: _Course, index: int, events: list[AnyEvent]) -> None:
        if said.annotations:
            events += [CitationAdded(citation, index) for citation in read_citations(said)]
        if said.refusal:
            events.append(RefusalDelta(said.refusal, index))
        for call in said.tool_calls or ():
            self._read_call(call, course, index, events)
        if legacy := said.function_call:
            self._read_call(CallSeen(0, None, legacy), course, index, events)

    def _read_call(self, call: CallSeen, course: _Course, index: int, events: list[AnyEvent]) -> None:
        function = call.function or CallFunctionSeen()
        slot = call.index if call.index is not None else len(course.ids) - (0 if call.id else 1)
        number = course.calls.get(slot)
        if number is None or (call.id and function.name and call.id != course.ids[number]):
            number = course.calls[slot] = len(course.ids)
            course.ids.append(call.id or made_call_id(self._id, number))
            events.append(ToolCallStarted(number, course.ids[number], function.name or "", index))
        if function.arguments:
            events.append(ArgumentsDelta(number, function.arguments, index))


class _Lane:
    """What a choice's chunks begin with, and how much was said in it."""

    __slots__ = ("blocks", "length", "open", "span", "text", "thought")

    def __init__(self, head: bytes, index: int) -> None:
        self.open = b'%b%d,"delta":{' % (head, index)
        self.text = self.open + b'"content":'
        self.length = 0
        self.span = CitedSpan()
        self.thought: list[str] = []
        self.blocks = 0


class ChatWriter(Writer):
    """Writes chunks as OpenAI does: a role, deltas, a finish reason; usage apart where the caller asked for it."""

    def __init__(self, ask: Ask) -> None:
        self._counts = ask.counts
        usage = b',"usage":null' if ask.counts else b""
        self._tail = b'},"logprobs":null,"finish_reason":null}]%b}\n\n' % usage
        self._stop_tail = b'},"logprobs":null,"finish_reason":%%b}]%b}\n\n' % usage
        self._open = b""
        self._lanes: dict[int, _Lane] = {}
        self._usage = b""

    def write(self, events: list[AnyEvent]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if isinstance(event, TextDelta):
                lane = self._lane(event.choice, out)
                lane.length += len(event.text)
                out.append(lane.text + encode(event.text) + self._tail)
            elif isinstance(event, Counted):
                self._usage = encode(write_usage(event.usage))
            elif isinstance(event, Started):
                self._start(event, out)
            else:
                self._write_rarer(event, out)
        return b"".join(out)

    def finish(self) -> bytes:
        if not (self._counts and self._usage):
            return sse.DONE
        return b'%b[],"usage":%b}\n\n%b' % (self._open, self._usage, sse.DONE)

    def _start(self, started: Started, out: list[bytes]) -> None:
        self._open = b'data: {"id":%b,"object":"chat.completion.chunk","created":%d,"model":%b,"choices":' % (
            encode(started.id or made_answer_id()),
            started.created or int(time.time()),
            encode(started.model),
        )
        self._lane(0, out)

    def _lane(self, index: int, out: list[bytes]) -> _Lane:
        lane = self._lanes.get(index)
        if lane is None:
            lane = self._lanes[index] = _Lane(self._open + b'[{"index":', index)
            out.append(lane.text + b'"","role":"assistant"' + self._tail)
        return lane

    def _write_rarer(self, event: Rarer, out: list[bytes]) -> None:
        lane = self._lane(event.choice, out)
        if isinstance(event, Stopped):
            out.append(lane.open + self._stop_tail % encode(FINISH_REASONS[event.stop]))
        elif delta := self._delta(event, lane):
            out.append(lane.open + delta + self._tail)

    def _delta(self, event: Rarer, lane: _Lane) -> bytes:
        match event:
            case ArgumentsDelta():
                return b'"tool_calls":[{"index":%d,"function":{"arguments":%b}}]' % (event.index, encode(event.text))
            case ToolCallStarted():
                function = b'{"name":%b,"arguments":""}' % encode(event.name)
                call = b'{"index":%d,"id":%b,"type":"function","function":%b}'
                return b'"tool_calls":[%b]' % (call % (event.index, encode(event.id), function))
            case ThinkingDelta():
                return self._thinking(event, lane)
            case RefusalDelta():
                return b'"refusal":' + encode(event.text)
            case CitationAdded() if event.citation.url:
                return b'"annotations":[%b]' % encode(lane.span.annotate(event.citation, lane.length))
        return b""

    def _thinking(self, event: ThinkingDelta, lane: _Lane) -> bytes:
        """Text goes as it comes. Its block is said once more, whole, with the signature that closes it: callers give
        `reasoning_details` back as they got them, and a signature stands for the whole text."""
        delta = b""
        if event.text:
            lane.thought.append(event.text)
            delta = b'"reasoning_content":' + encode(event.text)
        if event.signature or event.redacted:
            text = "" if event.redacted else "".join(lane.thought)
            block = Thinking(text, event.signature, event.redacted)
            lane.thought.clear()
            detail = encode(reasoning.write_detail(block, lane.blocks))
            lane.blocks += 1
            delta += b'%b"reasoning_details":[%b]' % (b"," if delta else b"", detail)
        return delta
