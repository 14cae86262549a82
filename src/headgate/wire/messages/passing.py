"""A messages stream whose bytes pass unchanged."""

from __future__ import annotations

import msgspec

from headgate.errors import StreamCut, UpstreamProtocolError
from headgate.wire import sse
from headgate.wire.base import Passage
from headgate.wire.messages import failures
from headgate.wire.messages.answers import UsageSeen
from headgate.wire.messages.streams import EventSeen, decode

_NOTABLE = (b'"message_start"', b'"message_delta"', b'"message_stop"', b'"error"', b"event: error")
_PIECE = b"event: content_block_delta\n"


class MessagesPassage(Passage):
    """Opens only the events that start or end the message or say an error."""

    def __init__(self) -> None:
        self._splitter = sse.Splitter()
        self._usage = UsageSeen()
        self._begun = False

    def feed(self, chunk: bytes) -> bytes:
        if self.failure or self.ended:
            return b""
        events = self._splitter.feed(chunk)
        if self._begun and not any(mark in events for mark in _NOTABLE):
            self.pieces += events.count(_PIECE)
            return events
        return self._open_events(events)

    def finish(self) -> bytes:
        out = b""
        if rest := self._splitter.finish().strip():
            out = self._open_events(rest + b"\n\n")
            if isinstance(self.failure, UpstreamProtocolError):
                self.failure = None
        if not (self.failure or self.ended):
            self.failure = StreamCut("the provider's stream ended before its own end mark")
        return out

    def _open_events(self, events: bytes) -> bytes:
        out = []
        for block in events.split(b"\n\n"):
            if block := block.strip(b"\n"):
                if self._passes(block):
                    out.append(block)
                if self.failure or self.ended:
                    break
        return b"\n\n".join([*out, b""]) if out else b""

    def _passes(self, block: bytes) -> bool:
        found = sse.read(block)
        if not found:
            return self._begun and block.startswith(b":")
        try:
            event = decode(found[0][1])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self.failure = UpstreamProtocolError(f"an event of the provider's stream is not readable: {error}")
            return False
        if event.type == "error":
            self.failure = failures.read(event.error)
            return False
        self._notice(event)
        return True

    def _notice(self, event: EventSeen) -> None:
        self._begun = True
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
