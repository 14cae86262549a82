"""How a provider's stream is followed in every dialect: whole frames out of any split, failures, and the end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Generic, Protocol, TypeVar

from headgate.errors import StreamCut, UpstreamError, UpstreamProtocolError
from headgate.wire import ndjson, sse
from headgate.wire.base import Passage, Reader
from headgate.wire.conversation import AnyEvent

Out = TypeVar("Out", bytes, list[AnyEvent])
Look = Callable[[bytes], object]
"""Looks at a whole answer of a dialect, and raises the failure that it is."""


class Splitter(Protocol):
    """Cuts bytes at the ends of frames; `finish` gives what is left, half a frame or one that the end closed."""

    def feed(self, chunk: bytes) -> bytes: ...
    def finish(self) -> bytes: ...


class Follower(ABC, Generic[Out]):
    """What readers and passages do alike. A half frame at the end of the bytes is a cut, not junk."""

    failure: UpstreamError | None = None
    ended: bool = False

    def __init__(self, splitter: Splitter, look: Look) -> None:
        self._splitter = splitter
        self._look = look

    @abstractmethod
    def take(self, frames: bytes) -> Out:
        """Whole frames. A failure in them is kept in `failure`; what came before it is returned."""

    def take_last(self, rest: bytes) -> Out:
        """As `take`, for what the end of the bytes has closed, or cut."""
        return self.take(rest)

    def complete(self) -> bool:
        """Whether all was said, although the end mark is missing."""
        return False

    def feed(self, chunk: bytes) -> Out:
        if self.failure or self.ended:
            return self.take(b"")
        try:
            frames = self._splitter.feed(chunk)
        except UpstreamProtocolError as error:
            self.failure = error
            return self.take(b"")
        return self.take(frames)

    def finish(self) -> Out:
        if self.failure or self.ended:
            return self.take(b"")
        out = self.take_last(self._splitter.finish())
        if type(self.failure) is UpstreamProtocolError:
            self.failure = None
        if not (self.failure or self.ended or self.complete()):
            self.failure = StreamCut("the provider's stream ended before its own end mark")
        return out

    def fail(self, error: UpstreamError) -> None:
        """Keeps a failure. An object that stands for a whole stream is most often the provider's own error."""
        self.failure = error
        if isinstance(error, sse.Unframed):
            try:
                self._look(error.body)
            except UpstreamError as said:
                self.failure = said


class FrameReader(Follower[list[AnyEvent]], Reader):
    """Reads frame by frame."""

    def __init__(self, splitter: Splitter, frames: Callable[[bytes], list[bytes]], look: Look) -> None:
        super().__init__(splitter, look)
        self._frames = frames

    @abstractmethod
    def read(self, frame: bytes, events: list[AnyEvent]) -> None:
        """Appends what a frame says. Raises `UpstreamError` for the provider's failure and for junk."""

    def take(self, frames: bytes) -> list[AnyEvent]:
        events: list[AnyEvent] = []
        try:
            for frame in self._frames(frames):
                self.read(frame, events)
                if self.ended:
                    break
        except UpstreamError as error:
            self.fail(error)
        return events


class EventReader(FrameReader):
    """A reader of server-sent events."""

    def __init__(self, look: Look) -> None:
        super().__init__(sse.Splitter(), sse.data, look)


class LineReader(FrameReader):
    """A reader of newline-delimited JSON."""

    def __init__(self, look: Look) -> None:
        super().__init__(ndjson.Splitter(), ndjson.read, look)


class EventPassage(Follower[bytes], Passage):
    """Follows server-sent events whose bytes pass. Opened are the first, and those that `notable` finds."""

    piece: ClassVar[bytes]
    """What stands once in each content event that is not opened."""

    def __init__(self, look: Look) -> None:
        super().__init__(sse.Splitter(), look)
        self.begun = False

    @abstractmethod
    def notable(self, events: bytes) -> bool:
        """Whether any of these events must be opened. When in doubt, it must."""

    @abstractmethod
    def passes(self, name: str, data: bytes) -> bool:
        """Notices an event, and says whether the caller is to see it. Raises `UpstreamError` for a failure."""

    def take(self, frames: bytes) -> bytes:
        if self.begun and not self.notable(frames):
            self.pieces += frames.count(self.piece)
            return frames
        return self._open(frames)

    def take_last(self, rest: bytes) -> bytes:
        return self._open(rest)

    def _open(self, events: bytes) -> bytes:
        out = []
        try:
            for block in events.split(b"\n\n"):
                if (block := block.strip(b"\n")) and self._block_passes(block):
                    out.append(block)
                if self.ended:
                    break
        except UpstreamError as error:
            self.fail(error)
        return b"\n\n".join([*out, b""]) if out else b""

    def _block_passes(self, block: bytes) -> bool:
        """A comment passes once the caller has a status: before, it is no sign of an answer."""
        read = sse.read(block)
        return self.passes(*read[0]) if read else self.begun and block.startswith(b":")
