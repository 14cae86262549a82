"""Notices callers that leave. One clock for all requests: only those that last get a watcher of their own."""

from __future__ import annotations

import asyncio
from time import monotonic

from headgate.edge.reply import Receive
from headgate.errors import ClientLeft

ROUND_S = 0.25


class Stay:
    """One request in flight: its task is cancelled when its caller goes. `body_read` says that the body was received
    whole, so that the next message can only be the departure."""

    __slots__ = ("_task", "_watcher", "body_read", "left", "receive", "since")

    def __init__(self, receive: Receive) -> None:
        self.receive = receive
        self._task = asyncio.current_task()
        self._watcher: asyncio.Task[None] | None = None
        self.since = monotonic()
        self.body_read = False
        self.left = False

    def watch(self) -> None:
        if self._watcher is None and self.body_read:
            self._watcher = asyncio.create_task(self._await_departure())

    def over(self) -> None:
        """The answer is whole: what its caller does now is of no interest."""
        self.body_read = False
        if self._watcher is not None:
            self._watcher.cancel()

    async def _await_departure(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass
        self.left = True
        if self._task is not None:
            self._task.cancel(ClientLeft.code)


class Departures:
    """All requests in flight. `start` and `stop` frame the life of the process."""

    def __init__(self) -> None:
        self._stays: set[Stay] = set()
        self._rounds: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._stays)

    def arrive(self, receive: Receive) -> Stay:
        stay = Stay(receive)
        self._stays.add(stay)
        return stay

    def depart(self, stay: Stay) -> None:
        self._stays.discard(stay)
        stay.over()

    async def all_gone(self) -> None:
        """Returns when every request that is in flight now has left, `ROUND_S` late at most."""
        present = set(self._stays)
        while present:
            await asyncio.sleep(ROUND_S)
            present &= self._stays

    def start(self) -> None:
        self._rounds = asyncio.get_running_loop().call_later(ROUND_S, self._round)

    def stop(self) -> None:
        if self._rounds is not None:
            self._rounds.cancel()

    def _round(self) -> None:
        old = monotonic() - ROUND_S
        for stay in self._stays:
            if stay.since < old:
                stay.watch()
        self.start()
