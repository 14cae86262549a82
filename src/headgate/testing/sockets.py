"""Sockets as the fakes need them: ports that refuse or let connections hang, connections that break."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


def bound(host: str, port: int) -> socket.socket:
    """A socket that holds an address without listening; several may hold one. Raises `OSError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    held = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.setblocking(False)
    try:
        held.bind((host, port))
    except OSError:
        held.close()
        raise
    return held


def reset(transport: asyncio.WriteTransport) -> None:
    """Ends a connection with RST, unsent bytes dropped."""
    if not transport.is_closing():
        linger = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()


@contextmanager
def closed_port() -> Iterator[str]:
    """A URL whose port refuses every connection and that nobody else takes meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


@contextmanager
def black_hole() -> Iterator[str]:
    """A URL whose connections are neither taken nor refused."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        with hanging(held):
            yield f"http://127.0.0.1:{held.getsockname()[1]}"


@contextmanager
def hanging(held: socket.socket) -> Iterator[None]:
    """Lets a bound socket neither take nor refuse connections: its accept queue is full (Linux drops the SYN)."""
    with ExitStack() as stack:
        held.listen(0)
        for _ in range(3):
            filler = stack.enter_context(socket.socket(held.family))
            filler.setblocking(False)
            filler.connect_ex(held.getsockname())
        yield
