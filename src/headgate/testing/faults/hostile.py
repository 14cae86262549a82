"""Faults that no careful server makes: lies about length and encoding, and more bytes than anyone should take."""

from __future__ import annotations

import zlib
from typing import Literal

from headgate.testing.answers import Piece
from headgate.testing.exchange import Exchange
from headgate.testing.faults.base import Fault
from headgate.testing.http1 import frame, head

MIB = 1024 * 1024
EVENTS = {"content-type": "text/event-stream"}
JSON_GZIP = {"content-type": "application/json", "content-encoding": "gzip"}


class Raw(Fault, frozen=True):
    """No HTTP at all, or what looks like it at first; then the connection closes."""

    name = "raw"
    kind: Literal["ssh", "status", "header", "old", "continue"] = "ssh"

    async def play(self, exchange: Exchange) -> None:
        said = {
            "ssh": b"SSH-2.0-OpenSSH_9.9\r\n",
            "status": b"HTTP/1.1 2OO OK\r\ncontent-length: 0\r\n\r\n",
            "header": b"HTTP/1.1 200 OK\r\nno colon here\r\ncontent-length: 0\r\n\r\n",
            "old": b"HTTP/0.9 200 OK\r\n\r\nhello",
            "continue": b"HTTP/1.1 100 Continue\r\n\r\n" * 1000,
        }
        await exchange.line.send(said[self.kind])
        exchange.line.close()


class EndlessLine(Fault, frozen=True):
    """A stream whose first event never ends: one line of so many mebibytes, then the connection closes."""

    name = "endless_line"
    mebibytes: int = 64

    async def play(self, exchange: Exchange) -> None:
        await _flood(exchange, b"data: " + b"x" * (MIB - 6), b"x" * MIB, self.mebibytes)


class Flood(Fault, frozen=True):
    """A stream of so many mebibytes of events that say nothing, then the connection closes."""

    name = "flood"
    mebibytes: int = 1024

    async def play(self, exchange: Exchange) -> None:
        event = b'data: {"choices":[{"index":0,"delta":{"content":"' + b"x" * 960 + b'"}}]}\n\n'
        block = event * (MIB // len(event))
        await _flood(exchange, block, block, self.mebibytes)


class TinyChunks(Fault, frozen=True):
    """A stream of so many comments, one byte a chunk; then it ends as its framing should."""

    name = "tiny_chunks"
    count: int = 100_000

    async def play(self, exchange: Exchange) -> None:
        exchange.entry.status = 200
        await exchange.line.send(head(200, EVENTS, "chunked"))
        pattern = b"".join(frame("chunked", bytes([byte])) for byte in b": x\n\n")
        for _ in range(max(self.count // 500, 1)):
            await exchange.line.send(pattern * 100)
        await exchange.line.send(b"0\r\n\r\n")


class GzipBomb(Fault, frozen=True):
    """A small body with `content-encoding: gzip` that opens to so many mebibytes; nobody asked for gzip."""

    name = "gzip_bomb"
    mebibytes: int = 256

    async def play(self, exchange: Exchange) -> None:
        packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
        packed = b"".join(packer.compress(b" " * MIB) for _ in range(self.mebibytes)) + packer.flush()
        exchange.entry.status = 200
        await exchange.line.send(head(200, JSON_GZIP, "length", len(packed)) + packed)


class LyingLength(Fault, frozen=True):
    """The honest body under a `content-length` that is off by so many bytes; then the connection closes."""

    name = "lying_length"
    by: int = 100

    async def play(self, exchange: Exchange) -> None:
        reply = exchange.reply()
        await exchange.start(reply, "length", length=max(len(reply.body) + self.by, 0))
        await exchange.put(reply.pieces)
        exchange.line.close()


class BadLength(Fault, frozen=True):
    """A `content-length` that no one should follow."""

    name = "bad_length"
    kind: Literal["negative", "word", "twice", "both"] = "negative"

    async def play(self, exchange: Exchange) -> None:
        said = {
            "negative": b"content-length: -1\r\n",
            "word": b"content-length: many\r\n",
            "twice": b"content-length: 2\r\ncontent-length: 3\r\n",
            "both": b"content-length: 2\r\ntransfer-encoding: chunked\r\n",
        }
        await exchange.line.send(b"HTTP/1.1 200 OK\r\n" + said[self.kind] + b"\r\n{}\n")
        exchange.line.close()


class HeaderBomb(Fault, frozen=True):
    """So many headers of a kibibyte each before the honest answer."""

    name = "header_bomb"
    count: int = 1024

    async def play(self, exchange: Exchange) -> None:
        reply = exchange.reply()
        bomb = {f"x-bomb-{number}": "x" * 1000 for number in range(self.count)}
        exchange.entry.status = reply.status
        exchange.settle(reply)
        await exchange.line.send(head(reply.status, bomb | reply.headers, "length", len(reply.body)) + reply.body)


class BadChunks(Fault, frozen=True):
    """Chunked framing that is none: after the first event a broken size, a missing line end, or a negative size."""

    name = "bad_chunks"
    kind: Literal["size", "end", "negative", "huge"] = "size"

    async def play(self, exchange: Exchange) -> None:
        reply = exchange.reply()
        await exchange.start(reply, "chunked")
        await exchange.put(reply.pieces[:1])
        broken = {
            "size": b"zz\r\nwhat\r\n",
            "end": b"3\r\nabcdef\r\n",
            "negative": b"-5\r\nhello\r\n",
            "huge": b"f" * 40 + b"\r\nx",
        }
        await exchange.line.send(broken[self.kind])
        exchange.line.close()


async def _flood(exchange: Exchange, first: bytes, block: bytes, times: int) -> None:
    exchange.entry.status = 200
    await exchange.line.send(head(200, EVENTS, "close"))
    for number in range(times):
        await exchange.put([Piece(block if number else first)])
    exchange.line.close()
