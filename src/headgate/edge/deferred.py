"""The control plane before anybody has asked for it: imported and built at the first request that wants it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from headgate.edge.reply import Receive, Scope, Send

App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Deferred:
    """An ASGI application that `build` makes, once, in a thread. Who never administers never pays for it."""

    def __init__(self, build: Callable[[], App]) -> None:
        self._build = build
        self._building: asyncio.Task[App] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._building is None:
            self._building = asyncio.create_task(asyncio.to_thread(self._build))
        try:
            app = await asyncio.shield(self._building)
        except Exception:
            self._building = None
            raise
        await app(scope, receive, send)
