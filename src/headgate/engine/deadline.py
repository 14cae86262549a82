"""The caller's own limit on the time until its answer is whole: `x-headgate-timeout-ms`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from headgate.engine.exchange import Exchange
from headgate.engine.flow import Flow
from headgate.errors import BadRequest, DeadlinePassed, HeadgateError
from headgate.types import Usage

HEADER = "x-headgate-timeout-ms"
MOST_MS = 86_400_000

Found = TypeVar("Found")


def due(exchange: Exchange) -> float | None:
    """When the caller's time is over, on the monotonic clock; None where it gave none, which is the most common case.

    Raises `BadRequest` that names the header.
    """
    said = exchange.timeout_ms
    if said is None:
        return None
    if not (said.isdigit() and len(said) <= 8 and 1 <= int(said) <= MOST_MS):
        raise BadRequest(f"`{HEADER}` must be a whole number of milliseconds from 1 to {MOST_MS}", param=HEADER)
    return exchange.began + int(said) / 1000


async def within(due: float, answer: Awaitable[Found]) -> Found:
    """Waits until then. Raises `DeadlinePassed`."""
    try:
        async with asyncio.timeout_at(due):
            return await answer
    except TimeoutError:
        raise DeadlinePassed(f"the answer was not whole within the time that `{HEADER}` gave", param=HEADER) from None


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
            return await within(self._due, self._flow.next())
        except DeadlinePassed as error:
            self._passed = error
            return b""

    async def linger(self) -> None:
        await self._flow.linger()
