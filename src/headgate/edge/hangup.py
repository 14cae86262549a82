"""SIGHUP: the settings are read again."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Awaitable, Callable

from headgate.errors import ConfigError

log = logging.getLogger(__name__)


class Hangup:
    """Calls `reload` for each SIGHUP. Only a process's main thread hears signals."""

    def __init__(self, reload: Callable[[], Awaitable[object]]) -> None:
        self._reload = reload
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        if threading.current_thread() is threading.main_thread():
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._received)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _received(self) -> None:
        task = asyncio.create_task(self._answer())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self) -> None:
        try:
            await self._reload()
        except ConfigError as error:
            log.error("the settings cannot be followed, nothing is changed: %s", error.message)
        except Exception:
            log.exception("the settings could not be read again")
