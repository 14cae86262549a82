"""The raw speed of the lean client against a server process that does nothing: requests and events a second, and CPU.

Run it as `python benchmarks/upstream.py [seconds]`. Where there are two cores, each side has its own.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import socket
import sys
import threading
import time
from typing import cast

import uvloop

from headgate.upstream.base import Call
from headgate.upstream.lean import Lean

BODY = b'{"model":"m","messages":[{"role":"user","content":"%s"}]}' % (b"x" * 114)
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 600\r\n\r\n" + b"y" * 600
EVENT = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"word "}}]}\n\n'
EVENTS = 20_000
AT_ONCE = 32


class Answers(asyncio.Protocol):
    """Answers each request with the same bytes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(ANSWER * data.count(b"POST "))


def pin(core: int) -> None:
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[core % len(cores)]})


def stream(listener: socket.socket) -> None:
    """Sends each client a stream in which every event is a write of its own."""
    frame = b"%x\r\n%s\r\n" % (len(EVENT), EVENT)
    while True:
        peer, _ = listener.accept()
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with peer:
            while peer.recv(65536):
                peer.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                for _ in range(EVENTS):
                    peer.sendall(frame)
                peer.sendall(b"0\r\n\r\n")


def serve(ports: multiprocessing.Queue[tuple[int, int]]) -> None:
    pin(1)
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=stream, args=(listener,), daemon=True).start()

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Answers, "127.0.0.1", 0)
        ports.put((server.sockets[0].getsockname()[1], listener.getsockname()[1]))
        await server.serve_forever()

    uvloop.run(run())


async def ask(client: Lean, call: Call, until: float) -> int:
    count = 0
    while time.monotonic() < until:
        async with client.open(call) as answer:
            assert len(await answer.read()) == 600
        count += 1
    return count


async def requests(client: Lean, port: int, seconds: float) -> None:
    call = Call(f"http://127.0.0.1:{port}/v1/chat", [(b"authorization", b"Bearer k"), (b"content-type", b"a/b")], BODY)
    for at_once in (1, AT_ONCE):
        await asyncio.gather(*(ask(client, call, time.monotonic() + 0.3) for _ in range(at_once)))
        began, cpu = time.monotonic(), time.process_time()
        counts = await asyncio.gather(*(ask(client, call, began + seconds) for _ in range(at_once)))
        took, cpu, count = time.monotonic() - began, time.process_time() - cpu, sum(counts)
        print(f"{at_once:3} at once: {count / took:9,.0f} requests/s  {cpu / count * 1e6:6.1f} µs CPU a request")


async def events(client: Lean, port: int, seconds: float) -> None:
    call = Call(f"http://127.0.0.1:{port}/v1/chat", [], BODY)
    began, cpu, size, reads = time.monotonic(), time.process_time(), 0, 0
    while time.monotonic() < began + seconds:
        async with client.open(call) as answer:
            async for chunk in answer:
                size += len(chunk)
                reads += 1
    took, cpu, count = time.monotonic() - began, time.process_time() - cpu, size // len(EVENT)
    speed = f"{count / took:9,.0f} events/s    {cpu / count * 1e6:6.1f} µs CPU an event"
    print(f"    stream: {speed}, {count / reads:.1f} a read")


async def main(seconds: float) -> None:
    ports: multiprocessing.Queue[tuple[int, int]] = multiprocessing.Queue()
    server = multiprocessing.Process(target=serve, args=(ports,), daemon=True)
    server.start()
    pin(0)
    answering, streaming = await asyncio.to_thread(ports.get)
    client = Lean()
    try:
        await requests(client, answering, seconds)
        await events(client, streaming, seconds)
    finally:
        await client.close()
        server.terminate()
        server.join()


if __name__ == "__main__":
    uvloop.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 3.0))
