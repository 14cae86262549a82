"""News between processes: what one of them changed, the others must forget."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

Heard = Callable[[str], None]
"""Told the key of what changed, or "" when anything may have changed. Must be quick and never raise."""


class Bus(Protocol):
    """Publishing never raises and never waits long: whoever listens also looks for itself now and then."""

    async def publish(self, topic: str, key: str) -> None: ...

    def subscribe(self, topic: str, heard: Heard) -> None: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def check(self) -> None:
        """Raises `StorageUnavailable` while news does not travel."""
        ...


class LocalBus:
    """News within one process: the bus of a server without Redis."""

    def __init__(self) -> None:
        self._listeners: dict[str, list[Heard]] = {}

    async def publish(self, topic: str, key: str) -> None:
        self.tell(topic, key)

    def subscribe(self, topic: str, heard: Heard) -> None:
        self._listeners.setdefault(topic, []).append(heard)

    def tell(self, topic: str, key: str) -> None:
        """Tells the listeners of this process."""
        for heard in self._listeners.get(topic, ()):
            heard(key)

    def tell_all(self) -> None:
        """Tells every listener that anything may have changed."""
        for topic in self._listeners:
            self.tell(topic, "")

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def check(self) -> None: ...
