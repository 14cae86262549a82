"""Bytes to a file descriptor from a thread of its own: what a blocked, slow or closed reader can never hold up."""

from __future__ import annotations

import os
import select
from queue import SimpleQueue
from threading import Thread
from typing import Protocol

PENDING_LIMIT = 8 * 1024 * 1024
"""How many bytes may wait for a slow reader."""


class Stream(Protocol):
    """Anything with a file descriptor, `sys.stdout` for instance. Its own buffer is not used."""

    def fileno(self) -> int: ...

    def isatty(self) -> bool: ...


class Outlet:
    """Writes batches of lines in order. What does not fit, or meets a closed reader, is dropped and counted."""

    def __init__(self, stream: Stream, name: str, pending_limit: int = PENDING_LIMIT) -> None:
        self._descriptor = os.dup(stream.fileno())
        self._limit = pending_limit
        self._given_bytes = 0
        self._done_bytes = 0
        self._overflowed_lines = 0
        self._unwritten_lines = 0
        self._queue: SimpleQueue[tuple[bytes, int]] = SimpleQueue()
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Lines lost so far, for want of room or because the reader is gone."""
        return self._overflowed_lines + self._unwritten_lines

    def put(self, data: bytes, lines: int) -> None:
        """Takes whole lines and returns at once. Only one thread at a time may call this."""
        if self._given_bytes - self._done_bytes + len(data) > self._limit:
            self._overflowed_lines += lines
            return
        self._given_bytes += len(data)
        self._queue.put((data, lines))

    def close(self, timeout_s: float = 2.0) -> None:
        """Writes what waits, for as long as `timeout_s`. What is put afterwards is lost."""
        self._queue.put((b"", 0))
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while (given := self._queue.get())[0]:
            data, lines = given
            try:
                self._write(data)
            except OSError:
                self._unwritten_lines += lines
            self._done_bytes += len(data)
        os.close(self._descriptor)

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                self._wait()

    def _wait(self) -> None:
        writable = select.poll()
        writable.register(self._descriptor, select.POLLOUT)
        writable.poll()
