"""How one process tells all others that something changed; with one process, itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from headgate.types import Secret

Heard = Callable[[], Awaitable[None]]
Check = Callable[[], Awaitable[object]]


class Bus(Protocol):
    """Carries topics, not news: who hears one looks for itself. A message may be lost; every listener polls as well."""

    @property
    def checks(self) -> Mapping[str, Check]:
        """What `/health` asks, by component."""
        ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def publish(self, topic: str) -> None:
        """Tells every process, this one included. Never fails, and takes a tenth of a second at most."""
        ...

    async def subscribe(self, topic: str, heard: Heard) -> None: ...


class LocalBus:
    """The bus of a process that is alone."""

    def __init__(self) -> None:
        self._listeners: dict[str, list[Heard]] = {}

    @property
    def checks(self) -> Mapping[str, Check]:
        return {}

    async def start(self) -> None:
        """There is nothing to connect to."""

    async def stop(self) -> None:
        """There is nothing to leave."""

    async def publish(self, topic: str) -> None:
        for heard in self._listeners.get(topic, ()):
            await heard()

    async def subscribe(self, topic: str, heard: Heard) -> None:
        self._listeners.setdefault(topic, []).append(heard)


def bus_at(redis_url: Secret | None) -> Bus:
    """The bus over this Redis, or that of a process that is alone."""
    if redis_url is None:
        return LocalBus()
    from headgate.storage.redis import RedisBus

    return RedisBus(redis_url)
