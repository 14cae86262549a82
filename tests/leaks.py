"""What this process holds: a gateway in a thread, the fakes around it and the test itself."""

from __future__ import annotations

import asyncio
import gc
import os

import msgspec

from tests.telemetry.waiting import until


class Held(msgspec.Struct, frozen=True):
    """Open descriptors, and tasks that are not done."""

    files: int
    tasks: int

    @classmethod
    def now(cls) -> Held:
        tasks = sum(isinstance(found, asyncio.Task) and not found.done() for found in gc.get_objects())
        return cls(len(os.listdir("/proc/self/fd")), tasks)

    def covers(self, other: Held, kept: int) -> bool:
        return other.files <= self.files + kept and other.tasks <= self.tasks + kept


async def await_release(before: Held, kept: int) -> None:
    """Waits until no more is held than before, but for `kept` of each: the ends of connections in pools.

    Raises `AssertionError` that says what is held, when it does not come about.
    """
    try:
        await until(lambda: before.covers(Held.now(), kept), 5)
    except AssertionError:
        raise AssertionError(f"{before} has become {Held.now()}") from None
