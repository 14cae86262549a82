"""What leaves a process in one round of its event loop leaves at the round's end, all connections one after another.

Two things come of it: an answer's head and body are one segment, and a peer on another core is woken once for many
answers instead of once for each. Waking it is the dearest thing that a small answer asks of the kernel.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

log = logging.getLogger(__name__)


class Outbox:
    """What waits for the end of the round of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._flushes: list[Callable[[], None]] = []

    def add(self, flush: Callable[[], None]) -> None:
        """Takes a connection's `flush`, which hands its bytes to the kernel. One that fails holds up no other."""
        if not self._flushes:
            self._loop.call_soon(self._end_round)
        self._flushes.append(flush)

    def _end_round(self) -> None:
        flushes, self._flushes = self._flushes, []
        for flush in flushes:
            try:
                flush()
            except Exception:
                log.exception("a connection could not send; the others go on")
