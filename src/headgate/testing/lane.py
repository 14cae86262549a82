"""The bytes of one connection in one direction, and what a network may do to them on their way."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from math import inf
from typing import Literal

import msgspec

HELD_BYTES = 256 * 1024
"""What a lane holds before it leaves the sender's bytes in the sender's kernel."""
BURST_S = 0.05
"""A bound bandwidth lets pieces of so many seconds through at a time, and never less than a byte."""


class Way(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What happens to the bytes of one direction. The default passes everything on at once.

    Bytes arrive `latency_s` ± `jitter_s` later than they came, in order; at most `bytes_per_s` of them, in writes of at
    most `slice_bytes`. When `after_bytes` of a connection have passed, `then` strikes, a connection that is beyond
    that at once: `reset` breaks the connection (RST, both ends), `close` ends this direction alone (FIN) and drops what
    comes after, `silence` holds everything back, the sender's end included, until the way changes.

    Raises `ValueError` for a number out of its range.
    """

    latency_s: float = 0.0
    jitter_s: float = 0.0
    bytes_per_s: float = inf
    slice_bytes: int = HELD_BYTES
    after_bytes: int = 0
    then: Literal["pass", "reset", "close", "silence"] = "pass"

    def __post_init__(self) -> None:
        for field in ("latency_s", "jitter_s", "after_bytes"):
            if getattr(self, field) < 0:
                raise ValueError(f"{field} is at least 0")
        if self.bytes_per_s <= 0 or self.slice_bytes < 1:
            raise ValueError("bytes_per_s is above 0 and slice_bytes at least 1; then='silence' lets nothing through")


CLEAR = Way()


class Block(msgspec.Struct):
    """Bytes that came together; none: the sender's end (FIN). `luck` from -1 to 1 is their share of the jitter."""

    data: bytes
    came: float
    luck: float


class Lane:
    """Holds what came from one end until it may go to the other. Runs on callbacks: it has no task to leak."""

    def __init__(self, way: Way, carried: Callable[[int], None], reset: Callable[[], None]) -> None:
        """`carried` is told how many bytes were passed on (0: the end); `reset` breaks the connection."""
        self._loop = asyncio.get_running_loop()
        self._way = way
        self._carried = carried
        self._reset = reset
        self._blocks: deque[Block] = deque()
        self._held = 0
        self._passed = 0
        self._sent_at = -inf
        self._clock: asyncio.Handle | None = None
        self.source: asyncio.Transport | None = None
        self.target: asyncio.Transport | None = None
        self.full = False
        """The target's kernel takes no more for now."""
        self.over = False
        """This direction has ended: what still comes is dropped."""

    def take(self, data: bytes) -> None:
        """Bytes came; none: the sender's end."""
        if self.over:
            return
        self._blocks.append(Block(data, self._loop.time(), random.uniform(-1, 1)))
        self._held += len(data)
        self._listen()
        self.step()

    def change(self, way: Way) -> None:
        """From now on, for bytes that are held already too."""
        self._way = way
        if self._struck():
            self._strike()
        else:
            self.step()

    def step(self) -> None:
        """Passes on what may pass now, and comes back for what may pass later."""
        self.halt()
        if self.over or self.full:
            return
        if self._struck():
            self._strike()
        elif self._blocks and self.target is not None:
            self._next(self._blocks[0], self.target)

    def halt(self) -> None:
        """Forgets the clock, not the bytes."""
        if self._clock is not None:
            self._clock.cancel()

    def _struck(self) -> bool:
        return self._way.then != "pass" and self._passed >= self._way.after_bytes

    def _strike(self) -> None:
        if self._way.then == "reset":
            self._reset()
        elif self._way.then == "close" and self.target is not None:
            self._end(self.target)

    def _next(self, block: Block, target: asyncio.Transport) -> None:
        size = self._size(block)
        due = self._due(block, size)
        if due > self._loop.time():
            self._clock = self._loop.call_at(due, self.step)
            return
        self._sent_at = due
        if size:
            self._pass_on(block, size, target)
        else:
            self._end(target)

    def _size(self, block: Block) -> int:
        way = self._way
        size = min(len(block.data), way.slice_bytes, max(1, way.bytes_per_s * BURST_S))
        return int(size if way.then == "pass" else min(size, way.after_bytes - self._passed))

    def _due(self, block: Block, size: int) -> float:
        way = self._way
        arrives = block.came + max(0.0, way.latency_s + way.jitter_s * block.luck)
        return max(arrives, self._sent_at + size / way.bytes_per_s)

    def _pass_on(self, block: Block, size: int, target: asyncio.Transport) -> None:
        target.write(block.data[:size])
        block.data = block.data[size:]
        if not block.data:
            self._blocks.popleft()
        self._held -= size
        self._passed += size
        self._listen()
        self._carried(size)
        # The next piece waits for the loop's next round, so that it is a segment of its own.
        self._clock = self._loop.call_soon(self.step)

    def _end(self, target: asyncio.Transport) -> None:
        self.over = True
        self._blocks.clear()
        self._held = 0
        if not target.is_closing():
            target.write_eof()
        self._listen()
        self._carried(0)

    def _listen(self) -> None:
        """Leaves bytes in the sender's kernel while enough of them are held here."""
        if self.source is None or self.source.is_closing():
            return
        if self._held > HELD_BYTES:
            self.source.pause_reading()
        else:
            self.source.resume_reading()
