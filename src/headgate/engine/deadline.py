"""The caller's own limit on the time until its answer is whole: `x-headgate-timeout-ms`."""

from __future__ import annotations

import asyncio

from headgate.engine.exchange import Exchange
from headgate.engine.flow import Flow
from headgate.errors import BadRequest, DeadlinePassed, HeadgateError
from headgate.types import Usage

HEADER = "x-headgate-timeout-ms"
MOST_MS = 86_400_000


def due(exchange: Exchange, said: bytes) -> float:
    """When the caller's time is over, on the monotonic clock. Raises `BadRequest` that names the header."""
    if not (said.isdigit() and len(said) <= 8 and 1 <= int(said) <= MOST_MS):
        raise BadRequest(f"`{HEADER}` must be a whole number of milliseconds from 1 to {MOST_MS}", param=HEADER)
    return exchange.began + int(said) / 1000


def passed() -> DeadlinePassed:
    return DeadlinePassed(f"the answer was not whole within the time that `{HEADER}` gave", param=HEADER)


class Hurried:
    """A flow that ends with the caller's time, wherever it is."""

    def __init__(self, flow: Flow, due: float) -> None:
        self._flow = flow
        self._due = due
        self._passed: DeadlinePassed | None = None

    @property
    def usage(self) -> Usage | None:
        return self._flow.usage

    @property
    def model(self) -> str:
        return self._flow.model

    @property
    def pieces(self) -> int:
        return self._flow.pieces

    @property
    def failure(self) -> HeadgateError | None:
        return self._passed or self._flow.failure

    async def next(self) -> bytes:
        try:
            async with asyncio.timeout_at(self._due):
                return await self._flow.next()
        except TimeoutError:
            self._passed = passed()
            return b""

    async def linger(self) -> None:
        await self._flow.linger()
