"""What a wire is: one public format, its requests, answers, streams and errors, as pure functions of bytes.

Between equal wires bytes pass (`look`, `passage`); between different wires of one family they go through the neutral
form (`read` … `write`, `read_reply` … `write_reply`, `reader` … `writer`). Nothing here does I/O.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import msgspec

from headgate.errors import HeadgateError, UpstreamError
from headgate.types import Usage
from headgate.wire.conversation import AnyEvent, Conversation, Counted, Reply, Started, Stopped

Fields = dict[str, msgspec.Raw]
"""A body opened at its top level only: field name → undecoded JSON."""

Way = tuple[str, ...]
"""The fields that lead to a place in a JSON object, from the outermost in."""

encode = msgspec.json.Encoder().encode


class Ask(msgspec.Struct, frozen=True):
    """A request as far as the road needs it: a few fields read, the rest undecoded.

    `body` is what the client sent, byte for byte. `stream` says that an event stream was asked for; `counts` that the
    client itself asked to see the usage in it.
    """

    model: str
    body: bytes
    fields: Fields
    stream: bool = False
    counts: bool = False
    choices: int = 1


class Look(msgspec.Struct, frozen=True):
    """What was noticed in a whole answer that passes as it is."""

    usage: Usage | None
    model: str = ""


class Written(msgspec.Struct, frozen=True):
    """A request in a target's wire: its top-level fields, and the settings that this wire has no place for."""

    fields: Fields
    dropped: tuple[str, ...] = ()


class Passage(ABC):
    """A stream on its way from a provider to a caller: bytes in, bytes of the caller's dialect out.

    After any `feed`: `usage` is what was reported so far, `model` what the provider says it runs, `pieces` how many
    content events went by, `failure` a provider's error that came inside the stream (what came before it has been
    returned). Output never holds half an event, and is the same however the input was split.
    """

    usage: Usage | None = None
    model: str = ""
    pieces: int = 0
    failure: UpstreamError | None = None
    ended: bool = False
    """The stream's own end mark was seen."""

    @abstractmethod
    def feed(self, chunk: bytes) -> bytes:
        """Takes bytes from the provider; returns what is ready for the caller, possibly nothing."""

    @abstractmethod
    def finish(self) -> bytes:
        """The provider's bytes are over. Returns the rest; no end mark: `failure` is a `StreamCut`."""


class Wire(ABC):
    """One public format. `family` says with which other wires it can be translated."""

    name: ClassVar[str]
    family: ClassVar[Literal["conversation", "vectors"]]
    stream_type: ClassVar[str] = "text/event-stream; charset=utf-8"
    request_id_headers: ClassVar[tuple[bytes, ...]] = (b"x-request-id",)
    """Where clients of this format look for the request id."""
    event_model: ClassVar[Way] = ("model",)
    """Where the events of a stream name the model."""

    @abstractmethod
    def ask(self, body: bytes) -> Ask:
        """Opens a request's top level. Raises `BadRequest` whose `param` names the field at fault."""

    @abstractmethod
    def look(self, body: bytes) -> Look:
        """Looks at a 200 answer. Raises `UpstreamProtocolError` for junk, `UpstreamFailed` for an error object."""

    @abstractmethod
    def passage(self, ask: Ask) -> Passage:
        """Follows a stream of this same wire."""

    @abstractmethod
    def want_usage(self, fields: Fields) -> None:
        """Changes a streaming request of this wire so that the provider reports usage in its stream."""

    @abstractmethod
    def error(self, error: HeadgateError, request_id: str) -> bytes:
        """The body of an error answer in this dialect."""

    @abstractmethod
    def error_event(self, error: HeadgateError, request_id: str) -> bytes:
        """An error after the first byte: the last thing in a broken stream of this dialect."""


class Reader(ABC):
    """Reads a provider's stream into events."""

    failure: UpstreamError | None = None
    ended: bool = False
    """The stream's own end mark (`[DONE]`, `message_stop`, `"done": true`) was seen: nothing more is to come."""

    @abstractmethod
    def feed(self, chunk: bytes) -> list[AnyEvent]:
        """Events that these bytes complete. A provider's error sets `failure` and ends the list."""

    @abstractmethod
    def finish(self) -> list[AnyEvent]:
        """The bytes are over. Sets `failure` to `StreamCut` where the end mark is missing."""


class Writer(ABC):
    """Writes events as a stream of one dialect."""

    @abstractmethod
    def write(self, events: list[AnyEvent]) -> bytes: ...

    @abstractmethod
    def finish(self) -> bytes:
        """What this dialect puts at the end of a whole stream, `data: [DONE]` for instance."""


class TextWire(Wire):
    """A wire of the conversation family. Its `read` and `write` are inverse wherever the wire can say the thing."""

    family: ClassVar[Literal["conversation", "vectors"]] = "conversation"

    @abstractmethod
    def read(self, body: bytes) -> Conversation:
        """Reads a caller's request. Raises `BadRequest` that names the field."""

    @abstractmethod
    def write(self, conversation: Conversation) -> Written:
        """Writes a request for a provider. Raises `WireNotServed` for content that this wire cannot carry."""

    @abstractmethod
    def read_reply(self, body: bytes) -> Reply:
        """Reads a provider's whole answer. Raises as `look` does."""

    @abstractmethod
    def write_reply(self, reply: Reply) -> bytes: ...

    @abstractmethod
    def reader(self) -> Reader: ...

    @abstractmethod
    def writer(self, ask: Ask) -> Writer: ...


class Telling:
    """Writes neutral events in the caller's dialect, and notices what passes, as a `Passage` does."""

    usage: Usage | None = None
    model: str = ""
    pieces: int = 0

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def tell(self, events: list[AnyEvent]) -> bytes:
        for event in events:
            if isinstance(event, Counted):
                self.usage = event.usage
            elif isinstance(event, Started):
                self.model = event.model
            elif not isinstance(event, Stopped):
                self.pieces += 1
        return self._writer.write(events) if events else b""

    def close(self) -> bytes:
        """The dialect's own end of a whole stream."""
        return self._writer.finish()


class Translation(Telling, Passage):
    """A stream between two different text wires: the provider's reader, the caller's writer."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        super().__init__(writer)
        self._reader = reader

    def feed(self, chunk: bytes) -> bytes:
        return self._told(self._reader.feed(chunk))

    def finish(self) -> bytes:
        return b"" if self.ended or self.failure else self._told(self._reader.finish(), over=True)

    def _told(self, events: list[AnyEvent], *, over: bool = False) -> bytes:
        out = self.tell(events)
        self.failure = self._reader.failure
        if self.failure is None and not self.ended and (over or self._reader.ended):
            self.ended = True
            out += self.close()
        return out
