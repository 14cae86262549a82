"""The control plane is built at its first request, once, and again if that failed."""

from __future__ import annotations

import asyncio

import pytest

from headgate.edge.deferred import App, Deferred
from headgate.edge.reply import Message, Receive, Scope, Send


class Builder:
    """Fails as often as it is told to."""

    def __init__(self, failures: int) -> None:
        self.built = 0
        self.asked: list[Scope] = []
        self._failures = failures

    def __call__(self) -> App:
        self.built += 1
        if self.built <= self._failures:
            raise OSError("no room to import into")
        return self._answer

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.append(scope)


async def receive() -> Message:
    return {}


async def send(message: Message) -> None: ...


async def test_it_is_built_once_however_many_ask_at_once() -> None:
    builder = Builder(failures=0)
    app = Deferred(builder)
    assert builder.built == 0
    await asyncio.gather(*(app({"number": number}, receive, send) for number in range(10)))
    assert (builder.built, len(builder.asked)) == (1, 10)


async def test_a_build_that_failed_is_tried_again() -> None:
    builder = Builder(failures=2)
    app = Deferred(builder)
    for _ in range(2):
        with pytest.raises(OSError, match="no room"):
            await app({}, receive, send)
    await app({}, receive, send)
    await app({}, receive, send)
    assert (builder.built, len(builder.asked)) == (3, 2)


async def test_who_leaves_while_it_is_built_does_not_stop_it() -> None:
    builder = Builder(failures=0)
    app = Deferred(builder)
    leaving = asyncio.create_task(app({}, receive, send))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    await app({}, receive, send)
    assert (builder.built, len(builder.asked)) == (1, 1)
