"""A whole answer out of the events of a streamed one."""

from __future__ import annotations

from collections.abc import Iterable

from headgate.wire.conversation import (
    AnyEvent,
    AnyPart,
    ArgumentsDelta,
    Choice,
    CitationAdded,
    Counted,
    Refusal,
    RefusalDelta,
    Reply,
    Started,
    Stop,
    Stopped,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallStarted,
)


class _Gathering:
    """One choice, growing."""

    def __init__(self) -> None:
        self.parts: list[AnyPart] = []
        self.stop: Stop | None = None
        self.stop_sequence = ""
        self._calls: dict[int, int] = {}

    def take(self, event: AnyEvent) -> None:
        match event:
            case TextDelta(text):
                self._grow(Text, text)
            case RefusalDelta(text):
                self._grow(Refusal, text)
            case ThinkingDelta():
                self._think(event)
            case ToolCallStarted(index, call_id, name):
                self._calls[index] = len(self.parts)
                self.parts.append(ToolCall(call_id, name, ""))
            case ArgumentsDelta(index, text):
                call = self.parts[self._calls[index]]
                assert isinstance(call, ToolCall)
                self.parts[self._calls[index]] = ToolCall(call.id, call.name, call.arguments + text)
            case CitationAdded(citation):
                self.parts.append(citation)
            case Stopped():
                self.stop, self.stop_sequence = event.stop, event.stop_sequence

    def _grow(self, kind: type[Text] | type[Refusal], text: str) -> None:
        last = self.parts[-1] if self.parts else None
        if isinstance(last, kind):
            self.parts[-1] = kind(last.text + text)
        else:
            self.parts.append(kind(text))

    def _think(self, event: ThinkingDelta) -> None:
        last = self.parts[-1] if self.parts else None
        if isinstance(last, Thinking) and not last.signature and not last.redacted and not event.redacted:
            self.parts[-1] = Thinking(last.text + event.text, event.signature)
        else:
            self.parts.append(Thinking(event.text, event.signature, event.redacted))


def gather(events: Iterable[AnyEvent]) -> Reply:
    """The reply that these events told, all of them: usage and stop reason included."""
    started, usage = Started("", ""), None
    choices: dict[int, _Gathering] = {0: _Gathering()}
    for event in events:
        if isinstance(event, Started):
            started = event
        elif isinstance(event, Counted):
            usage = event.usage
        else:
            choices.setdefault(event.choice, _Gathering()).take(event)
    return Reply(
        id=started.id,
        model=started.model,
        created=started.created,
        usage=usage,
        choices=tuple(
            Choice(tuple(choice.parts), choice.stop, choice.stop_sequence) for _, choice in sorted(choices.items())
        ),
    )
