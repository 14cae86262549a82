"""headgate: one gate for every model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

__version__ = "0.1.0"

_houses: list[Callable[..., Awaitable[None]]] = []


async def app(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    """The ASGI application, configured by environment, `.env` and `headgate.yaml`: `uvicorn headgate:app`."""
    if not _houses:
        from headgate.config import load
        from headgate.house import House

        _houses.append(House(load(), load))
    await _houses[0](scope, receive, send)
