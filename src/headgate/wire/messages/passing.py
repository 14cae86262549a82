"""A messages stream whose bytes pass unchanged."""

from __future__ import annotations

from headgate.wire.messages import answers, failures
from headgate.wire.messages.answers import UsageSeen
from headgate.wire.messages.streams import EventSeen, open_event
from headgate.wire.streams import EventPassage

_NOTABLE = (b'"message_start"', b'"message_delta"', b'"message_stop"', b'"error"', b"event: error")


class MessagesPassage(EventPassage):
    """Opens only the events that start or end the message or say an error."""

    piece = b"event: content_block_delta\n"

    def __init__(self) -> None:
        super().__init__(answers.look)
        self._usage = UsageSeen()

    def notable(self, events: bytes) -> bool:
        return any(mark in events for mark in _NOTABLE)

    def passes(self, name: str, data: bytes) -> bool:
        event = open_event(data)
        if event.type == "error":
            raise failures.read_event(event.error)
        self._notice(event)
        return True

    def _notice(self, event: EventSeen) -> None:
        self.begun = True
        if event.type == "content_block_delta":
            self.pieces += 1
        elif event.type == "message_stop":
            self.ended = True
        message = event.message
        if message is not None:
            self.model = message.model or ""
        if usage := event.usage or (message.usage if message else None):
            self._usage = self._usage.updated(usage)
            self.usage = self._usage.usage(final=event.usage is not None)
