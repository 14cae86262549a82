"""As many clients as there may be: all are served, one more is told why not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from headgate.config import Server
from headgate.edge.connections import room
from headgate.testing.gateway import CALLER_KEY
from tests.serving import Serving, serving

CROWD = room(Server())
"""Ten thousand, where the system allows twice as many descriptors."""
AT_ONCE = 200
LIVE = b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n"
OK = b'{"status":"ok"}'

pytestmark = pytest.mark.torture


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Serving]:
    (tmp_path / "headgate.yaml").write_text("server: {idle_s: 300}\n")
    with serving(tmp_path, {"API_KEYS": CALLER_KEY}) as started:
        yield started


class Guest:
    """One connection."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def come(self) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port)

    async def ask(self) -> bytes:
        self.writer.write(LIVE)
        return await self.reader.readuntil(b"}")


async def test_a_whole_house_is_served_and_one_more_is_told(server: Serving) -> None:
    assert CROWD > 400, "this machine allows next to no descriptors"
    port = int(server.url.rpartition(":")[2])
    guests = [Guest(port) for _ in range(CROWD)]
    async with AsyncExitStack() as leaving:
        for start in range(0, CROWD, AT_ONCE):
            several = guests[start : start + AT_ONCE]
            await asyncio.gather(*(guest.come() for guest in several))
            for guest in several:
                leaving.callback(guest.writer.close)
        for start in range(0, CROWD, AT_ONCE):
            answers = await asyncio.gather(*(guest.ask() for guest in guests[start : start + AT_ONCE]))
            assert all(answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(OK) for answer in answers)
        late = Guest(port)
        await late.come()
        leaving.callback(late.writer.close)
        refused = await late.reader.read()
        assert refused.startswith(b"HTTP/1.1 503 ")
        assert b"too_many_connections" in refused
        assert (await guests[0].ask()).endswith(OK)
