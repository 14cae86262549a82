"""All connections of one server: counted, bounded, and looked at twice a second for clients that take too long."""

from __future__ import annotations

import asyncio
import logging
from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit, setrlimit
from time import monotonic
from typing import Protocol
from weakref import WeakKeyDictionary

from uvicorn.server import ServerState

from headgate.config import Server
from headgate.outbox import Outbox

ROUND_S = 0.5
"""How late a limit may be noticed."""
WANTED = 65_536
"""Descriptors that are asked for; the usual 1,024 would be 500 clients."""
SPARE = 32
"""Descriptors for files and the database."""


class Watched(Protocol):
    """A connection as the rounds see it."""

    def look(self, now: float) -> None:
        """Ends the connection if one of its limits is over; `now` is on the monotonic clock."""
        ...


class Connections:
    """The connections of one server in one process, and what they share."""

    def __init__(self, state: ServerState, loop: asyncio.AbstractEventLoop, limits: Server) -> None:
        self.state = state
        self.loop = loop
        self.limits = limits
        self._most = room(limits)
        self.outbox = Outbox(loop)
        self._open: set[Watched] = set()
        self._rounds: asyncio.TimerHandle | None = None

    @property
    def crowd(self) -> float:
        """Connections for each that there may be."""
        return len(self._open) / self._most

    def enter(self, connection: Watched) -> None:
        """Watches a connection until it leaves."""
        self._open.add(connection)
        if self._rounds is None:
            self._rounds = self.loop.call_later(ROUND_S, self._round)

    def leave(self, connection: Watched) -> None:
        self._open.discard(connection)

    def _round(self) -> None:
        now = monotonic()
        self._rounds = self.loop.call_later(ROUND_S, self._round) if self._open else None
        for connection in tuple(self._open):
            try:
                connection.look(now)
            except Exception:
                log.exception("a connection's limits could not be kept; the others' are")


def room(limits: Server) -> int:
    """How many clients may be connected at once: a stream needs two descriptors, one for its provider."""
    return min(limits.connections, descriptors() // 2 - SPARE)


def descriptors() -> int:
    """How many files and sockets this process may have open; it first asks for as many as it may ask for."""
    soft, hard = getrlimit(RLIMIT_NOFILE)
    if soft < (wanted := min(hard if hard != RLIM_INFINITY else WANTED, WANTED)):
        setrlimit(RLIMIT_NOFILE, (wanted, hard))
    return getrlimit(RLIMIT_NOFILE)[0]


log = logging.getLogger(__name__)
_servers: WeakKeyDictionary[ServerState, Connections] = WeakKeyDictionary()


def connections_of(state: ServerState, loop: asyncio.AbstractEventLoop, limits: Server) -> Connections:
    """The one `Connections` of a server."""
    if (known := _servers.get(state)) is None:
        known = _servers[state] = Connections(state, loop, limits)
    return known
