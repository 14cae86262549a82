"""Callers on bare sockets: honest ones in a closed loop, some who leave at random, some who are slow in every way."""

from __future__ import annotations

import asyncio
import json
import random
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from statistics import quantiles
from time import monotonic, perf_counter

import msgspec

SLOW_S = 1.0
"""What a slow caller waits after each byte."""
Slow = Callable[["Address", float], Awaitable[None]]


class Address(msgspec.Struct, frozen=True):
    """Where a gateway listens, and a key that it takes."""

    port: int
    key: str

    def request(self, model: str, *, stream: bool = False, text: str = "Hello") -> bytes:
        said = {"model": model, "stream": stream, "messages": [{"role": "user", "content": text}]}
        body = json.dumps(said).encode()
        lines = ["POST /v1/chat/completions HTTP/1.1", "host: gateway", f"authorization: Bearer {self.key}"]
        return "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode() + body


class Seen(msgspec.Struct):
    """What honest callers saw: milliseconds of every call, and how many were answered with 200."""

    times_ms: list[float] = msgspec.field(default_factory=list)
    good: int = 0

    @property
    def p99_ms(self) -> float:
        return quantiles(self.times_ms, n=100)[98]

    @property
    def share(self) -> float:
        return self.good / len(self.times_ms)


async def honest(address: Address, model: str, seconds: float, callers: int = 8) -> Seen:
    """So many callers, each with one call after the other, for some seconds."""
    seen = Seen()
    until = monotonic() + seconds
    await asyncio.gather(*(_call_on(address, address.request(model), until, seen) for _ in range(callers)))
    return seen


async def _call_on(address: Address, request: bytes, until: float, seen: Seen) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", address.port)
    while monotonic() < until:
        began = perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
        await reader.readexactly(int(length))
        seen.times_ms.append((perf_counter() - began) * 1000)
        seen.good += head.startswith(b"HTTP/1.1 200")
    writer.close()


async def leavers(address: Address, model: str, count: int, at_once: int = 50) -> None:
    """So many callers who each hang up somewhere: before the end of their request, or after some of the answer."""
    turns = asyncio.Semaphore(at_once)

    async def one() -> None:
        async with turns:
            await _leave_somewhere(address, model)

    await asyncio.gather(*(one() for _ in range(count)))


async def _leave_somewhere(address: Address, model: str) -> None:
    request = address.request(model, stream=random.random() < 0.7, text="word " * 50)
    reader, writer = await asyncio.open_connection("127.0.0.1", address.port)
    try:
        if random.random() < 0.2:
            writer.write(request[: random.randrange(len(request))])
            await asyncio.sleep(random.uniform(0, 0.02))
        else:
            writer.write(request)
            with suppress(TimeoutError, asyncio.IncompleteReadError):
                await asyncio.wait_for(reader.readexactly(random.randrange(4000)), random.uniform(0, 0.1))
    except ConnectionError:
        return
    finally:
        writer.transport.abort()


async def slow_head(address: Address, until: float) -> None:
    """A request whose first line comes byte by byte."""
    await _drip(address, b"", address.request("echo"), until)


async def slow_body(address: Address, until: float) -> None:
    """A request whose body comes byte by byte."""
    head, mark, body = address.request("echo").partition(b"\r\n\r\n")
    await _drip(address, head + mark, body, until)


async def slow_reader(address: Address, until: float) -> None:
    """A stream that is read byte by byte."""
    with socket.socket() as line, suppress(ConnectionError):
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        line.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(line, ("127.0.0.1", address.port))
        await loop.sock_sendall(line, address.request("echo", stream=True, text="word " * 500))
        while await loop.sock_recv(line, 1):
            if monotonic() > until:
                break
            await asyncio.sleep(SLOW_S)


def crowd(address: Address, count: int, seconds: float) -> None:
    """So many slow callers of each kind in turn, for so long: what a process of its own runs."""
    asyncio.run(_crowd(address, count, monotonic() + seconds))


async def _crowd(address: Address, count: int, until: float) -> None:
    kinds = [SLOW[number % len(SLOW)] for number in range(count)]
    await asyncio.gather(*(kind(address, until) for kind in kinds), return_exceptions=True)


async def _drip(address: Address, at_once: bytes, rest: bytes, until: float) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", address.port)
    writer.write(at_once)
    for byte in rest:
        if monotonic() > until or writer.transport.is_closing():
            break
        writer.write(bytes([byte]))
        await asyncio.sleep(SLOW_S)
    writer.transport.abort()


SLOW: tuple[Slow, ...] = (slow_head, slow_body, slow_reader)
