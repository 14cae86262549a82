"""The time that a client has to read what waits for it."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest

from headgate.edge.outgoing import READ_RATE, Outgoing
from headgate.outbox import Outbox

WRITE_S = 10.0


class Buffer(asyncio.Transport):
    """A transport whose client reads when the test says so."""

    unread = 100_000

    def get_write_buffer_size(self) -> int:
        return self.unread


@pytest.fixture
def buffer() -> Buffer:
    return Buffer()


@pytest.fixture
async def out(buffer: Buffer) -> Outgoing:
    loop = asyncio.get_running_loop()
    return Outgoing(buffer, loop, Outbox(loop), WRITE_S)


@pytest.mark.parametrize("end", ["pause", "last"])
async def test_a_client_that_does_not_read_has_its_time(out: Outgoing, end: str) -> None:
    getattr(out, end)()
    now = monotonic()
    assert not out.stuck(now + WRITE_S - 1)
    assert out.stuck(now + WRITE_S + 1)


@pytest.mark.parametrize("end", ["pause", "last"])
async def test_a_client_that_reads_slowly_gets_it_anew(
    buffer: Buffer, out: Outgoing, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    getattr(out, end)()
    now = monotonic() + WRITE_S + 1
    monkeypatch.setattr("headgate.edge.outgoing.monotonic", lambda: now)
    buffer.unread -= int(READ_RATE * WRITE_S) - 1
    assert out.stuck(now), "a byte less than enough"
    buffer.unread -= 1
    assert not out.stuck(now)
    assert out.stuck(now + WRITE_S + 1), "and then not another byte"


async def test_who_reads_everything_is_never_late(out: Outgoing) -> None:
    out.pause()
    out.resume()
    assert not out.stuck(monotonic() + 10 * WRITE_S)
