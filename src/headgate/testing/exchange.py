"""One request and its answer on the line: the paced, split, framed sending that the truth and every fault share."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate

import msgspec

from headgate.testing.answers import Pacing, Piece, Refused, Reply
from headgate.testing.dialects.base import Call, Dialect
from headgate.testing.http1 import Framing, Line, frame, head, tail
from headgate.testing.journal import Entry


class Exchange:
    """What a fault may do with one request: look at it, make the honest reply, and send any part of anything."""

    def __init__(
        self,
        line: Line,
        entry: Entry,
        dialect: Dialect,
        call: Call,
        answer: Callable[[Call], Reply],
        pacing: Pacing,
    ) -> None:
        self.line = line
        self.entry = entry
        self.dialect = dialect
        self.call = call
        self._answer = answer
        self._pacing = pacing
        self._framing: Framing = "length"

    def reply(self) -> Reply:
        """The honest reply. Takes a scripted answer from the queue: a fault that fails before it should not ask."""
        try:
            return self._answer(self.call)
        except Refused as refused:
            return self.refusal(refused)

    def refusal(self, refused: Refused) -> Reply:
        return self.dialect.refusal(self.call, refused)

    async def send(self, reply: Reply) -> None:
        """The whole reply, as the service sends it."""
        await self.start(reply, "chunked" if reply.stream or reply.waiting else "length")
        await self.put(reply.pieces, last=reply)

    async def start(self, reply: Reply, framing: Framing, *, length: int | None = None) -> None:
        """The head, after the wait for the first byte; `length` replaces the true one. Then the waiting marks."""
        self._pacing = reply.pacing or self._pacing
        self._framing = framing
        await asyncio.sleep(self._pacing.first_byte_s)
        said = len(reply.body) if length is None else length
        self.entry.status = reply.status
        self.entry.charged = msgspec.structs.replace(reply.usage, completion=0, reasoning=0, cost_nano=None)
        await self.line.send(head(reply.status, reply.headers, framing, said))
        if reply.waiting and framing != "length":
            await self.line.send(frame(framing, reply.waiting))
        await asyncio.sleep(self._pacing.queue_s)

    async def put(self, pieces: list[Piece], *, last: Reply | None = None) -> None:
        """A part of the body, paced and split; the `last` one of a reply brings the end and the full charge."""
        body = b"".join(piece.data for piece in pieces)
        ends = list(accumulate(len(piece.data) for piece in pieces))
        carried = [0, *accumulate(piece.tokens for piece in pieces)]
        sent = told = 0
        for end in self._pacing.ends(len(body), ends):
            reached = carried[bisect_right(ends, end)]
            if self._pacing.tokens_per_s:
                await asyncio.sleep((reached - told) / self._pacing.tokens_per_s)
            self._write(body[sent:end], reached - told)
            if last is None or end < len(body):
                await self.line.flush()
            sent, told = end, reached
        if last is not None:
            self.line.write(tail(self._framing))
            self.settle(last)
            await self.line.flush()

    def _write(self, data: bytes, tokens: int) -> None:
        if data:
            self.line.write(frame(self._framing, data))
        self.entry.bytes_sent += len(data)
        charged = self.entry.charged
        self.entry.charged = msgspec.structs.replace(charged, completion=charged.completion + tokens)

    def settle(self, reply: Reply) -> None:
        """Notes that the whole reply is on its way: the full charge stands, even if the client leaves now."""
        self.entry.bytes_sent = len(reply.body)
        self.entry.charged = reply.usage
        self.entry.whole = True

    async def end(self) -> None:
        """The end that the framing needs, whatever came before it."""
        await self.line.send(tail(self._framing))
        if self._framing == "close":
            self.line.close()
