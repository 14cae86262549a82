"""An answer's head and body leave in one write."""

from __future__ import annotations

import asyncio

from headgate.edge.protocol import JoinedWrites
from headgate.testing.gateway import RunningGateway


class Wire(asyncio.Transport):
    """A transport that remembers its writes."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


async def test_head_and_body_are_one_write() -> None:
    wire = Wire()
    joined = JoinedWrites(wire, asyncio.get_running_loop())
    joined.write(HEAD)
    joined.write(b"body")
    joined.write(b"more")
    assert wire.writes == [HEAD + b"body", b"more"]


async def test_a_head_without_a_body_leaves_at_the_end_of_the_round() -> None:
    wire = Wire()
    joined = JoinedWrites(wire, asyncio.get_running_loop())
    joined.write(HEAD)
    assert wire.writes == []
    await asyncio.sleep(0)
    assert wire.writes == [HEAD]


async def test_closing_sends_the_head_first() -> None:
    wire = Wire()
    joined = JoinedWrites(wire, asyncio.get_running_loop())
    joined.write(HEAD)
    joined.close()
    assert (wire.writes, joined.is_closing()) == ([HEAD], True)


async def test_a_whole_answer_arrives_in_one_segment(gateway: RunningGateway) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
    writer.write(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
    async with asyncio.timeout(5):
        first = await reader.read(65536)
    writer.close()
    assert first.endswith(b'{"status":"ok"}')
