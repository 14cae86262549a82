"""The HTTP clients: one for each way of reaching servers, kept for as long as anybody may use it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection

from headgate.config import Transport
from headgate.upstream.base import Upstream
from headgate.upstream.lean import Lean


class Clients:
    """Made when they are first wanted; the slower kind is loaded only where it is."""

    def __init__(self) -> None:
        self._kept: dict[Transport, Upstream] = {}
        self._leaving: dict[asyncio.Task[None], Upstream] = {}

    def of(self, transport: Transport) -> Upstream:
        if transport not in self._kept:
            self._kept[transport] = _made(transport)
        return self._kept[transport]

    def keep(self, wanted: Collection[Transport], unused: Callable[[], Awaitable[None]]) -> None:
        """Lets go of all others; each is closed once `unused` has returned, as requests in flight may still use it."""
        for transport in self._kept.keys() - wanted:
            client = self._kept.pop(transport)
            task = asyncio.create_task(_close_after(unused, client))
            self._leaving[task] = client
            task.add_done_callback(self._leaving.pop)

    async def close(self) -> None:
        """Closes them all, whoever uses them."""
        leaving, self._leaving = self._leaving, {}
        for task in leaving:
            task.remove_done_callback(self._leaving.pop)
            task.cancel()
        for client in (*leaving.values(), *self._kept.values()):
            await client.close()


def _made(transport: Transport) -> Upstream:
    if transport == Transport(ca_file=transport.ca_file):
        return Lean(ca_file=transport.ca_file)
    from headgate.upstream.proxied import Proxied

    return Proxied(transport)


async def _close_after(unused: Callable[[], Awaitable[None]], client: Upstream) -> None:
    await unused()
    await client.close()
