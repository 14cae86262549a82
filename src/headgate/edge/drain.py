"""Between SIGTERM and the end: for a while this process says that it is not ready, and still serves."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from types import FrameType

log = logging.getLogger(__name__)


class Drain:
    """Holds SIGTERM back from the server for `grace_s`, so that a load balancer can look elsewhere first.

    A second SIGTERM, or SIGINT at any time, is not held back.
    """

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self.draining = False

    def start(self) -> None:
        """Takes the place of the handler that the server has set. Only a process's main thread hears signals."""
        server = signal.getsignal(signal.SIGTERM)
        if threading.current_thread() is not threading.main_thread() or not callable(server):
            return
        loop = asyncio.get_running_loop()

        def received(number: int, frame: FrameType | None) -> None:
            if self.draining:
                server(number, frame)
                return
            self.draining = True
            log.info("asked to stop: not ready from now on, no new connections in %g s", self._grace_s)
            loop.call_soon_threadsafe(loop.call_later, self._grace_s, server, number, frame)

        signal.signal(signal.SIGTERM, received)
