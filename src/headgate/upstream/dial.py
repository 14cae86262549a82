"""From a host's name to an open connection: addresses remembered for a short while, and raced."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Sequence
from functools import partial
from itertools import chain, zip_longest
from pathlib import Path
from time import monotonic

from headgate.outbox import Outbox
from headgate.upstream.connection import Connection
from headgate.upstream.request import Place

STAGGER_S = 0.25
"""How long an address may try alone before the next one starts beside it (RFC 8305 §5)."""
REMEMBERED_S = 30.0


class Addresses:
    """Names turned into addresses. An answer is kept for a short while, and for longer while asking again fails."""

    def __init__(self, remembered_s: float = REMEMBERED_S) -> None:
        self._remembered_s = remembered_s
        self._known: dict[str, tuple[float, list[str]]] = {}
        self._asking: dict[str, asyncio.Task[list[str]]] = {}

    async def find(self, host: str) -> list[str]:
        """Addresses of a host, best first, the families taking turns. Raises `socket.gaierror`."""
        expires, addresses = self._known.get(host, (0.0, []))
        if monotonic() < expires:
            return addresses
        asking = self._asking.get(host)
        if asking is None:
            asking = self._asking[host] = asyncio.create_task(self._ask(host))
            asking.add_done_callback(lambda task: self._asked(host, task))
        try:
            return await asyncio.shield(asking)
        except OSError:
            if not addresses:
                raise
            return addresses

    async def _ask(self, host: str) -> list[str]:
        rows = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        return taking_turns([(row[0], str(row[4][0])) for row in rows])

    def _asked(self, host: str, task: asyncio.Task[list[str]]) -> None:
        del self._asking[host]
        if not task.cancelled() and task.exception() is None:
            self._known[host] = (monotonic() + self._remembered_s, task.result())


def taking_turns(found: Sequence[tuple[int, str]]) -> list[str]:
    """Addresses of (family, address) rows so that families alternate, the first row's family first (RFC 8305 §4)."""
    families = list(dict.fromkeys(family for family, _ in found))
    columns = [list(dict.fromkeys(address for of, address in found if of == family)) for family in families]
    return [address for address in chain.from_iterable(zip_longest(*columns)) if address is not None]


class Dialler:
    """Opens connections, with TLS where the place wants it. `ca_file` replaces the system's roots."""

    def __init__(self, ca_file: Path | None, addresses: Addresses | None = None) -> None:
        self._ca_file = ca_file
        self._addresses = addresses or Addresses()
        self._context: ssl.SSLContext | None = None
        self._outbox: Outbox | None = None

    async def dial(self, place: Place) -> Connection:
        """The first connection that comes about. Raises `OSError`: the first failure, when all fail."""
        waiting = deque(await self._addresses.find(place.host))
        running: set[asyncio.Task[Connection]] = set()
        failures: list[BaseException] = []
        try:
            while waiting or running:
                if waiting:
                    running.add(asyncio.create_task(self._single(waiting.popleft(), place)))
                done, _ = await asyncio.wait(
                    running, timeout=STAGGER_S if waiting else None, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    running.discard(task)
                    error = task.exception()
                    if error is None:
                        running |= done - {task}
                        return task.result()
                    failures.append(error)
            raise failures[0]
        finally:
            for task in running:
                task.cancel()
                task.add_done_callback(_discard)

    async def _single(self, address: str, place: Place) -> Connection:
        loop = asyncio.get_running_loop()
        if self._outbox is None:
            self._outbox = Outbox(loop)
        _, connection = await loop.create_connection(
            partial(Connection, loop, self._outbox),
            address,
            place.port,
            ssl=self._tls() if place.tls else None,
            server_hostname=place.host if place.tls else None,
        )
        return connection

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = ssl.create_default_context(cafile=self._ca_file)
            self._context.set_alpn_protocols(["http/1.1"])
        return self._context


def _discard(task: asyncio.Task[Connection]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().abort()
