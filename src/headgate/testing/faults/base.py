"""What a fault is: everything that happens to one request instead of an honest answer."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from headgate.testing.exchange import Exchange


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way to go wrong. `play` does the whole exchange; a connection that it leaves open can be used again."""

    name: ClassVar[str]

    async def play(self, exchange: Exchange) -> None:
        raise NotImplementedError


class Honest(Fault, frozen=True):
    """No fault: the answer that the service would give."""

    name = "honest"

    async def play(self, exchange: Exchange) -> None:
        await exchange.send(exchange.reply())
