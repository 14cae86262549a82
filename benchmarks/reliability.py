"""Measures what failures cost: `make reliability`. Prints and writes figures; never fails on time."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import resource
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

import callers
import httpx
import msgspec
import report
from callers import Address, Seen
from report import Report, Row
from servers import LOAD_CORE, SERVER_CORE, Server, free_port, pin, running

from headgate.testing import FaultProxy, Way
from headgate.testing import gateway as in_process

DOCUMENT = Path(__file__).parent.parent / "docs" / "reliability.md"
KEY = "reliability-0123456789abcdef0123456789abcdef"
SETTINGS = """
providers:
  one: {{kind: compatible, base_url: "{one}", key: sk-one, models: [one-model]}}
  two: {{kind: compatible, base_url: "{two}", key: sk-two, models: [two-model]}}
aliases:
  both: [one/one-model, two/two-model]
"""
"""One model of two upstreams: the first is preferred."""
SETTLED_S = 10.0
COME_S = 4.0
"""How long a crowd has to connect."""
KEPT = 5
"""Tasks, and descriptors, of connections that pools may keep."""


class Effort(msgspec.Struct, frozen=True):
    """Seconds of each load, and how many callers leave or are slow."""

    seconds: float
    leavers: int
    slow: int


WHOLE = Effort(seconds=10, leavers=10_000, slow=1_000)
QUICK = Effort(seconds=3, leavers=500, slow=150)


def figures(effort: Effort) -> dict[str, Row]:
    """Key → row without a value, in the order of the report."""
    return {
        "success": Row("one of two upstreams dead: calls that succeed", "%", aim="at least", target=99.9),
        "healthy_p99": Row("both alive, p99", "ms"),
        "grown_p99": Row("one of two dead: p99 grows by", "ms", aim="at most", target=50),
        "attempts": Row("all dead: attempts a request", "", aim="at most", target=1.1),
        "left": Row("callers who left at random", ""),
        "tasks": Row("left behind: tasks", "", aim="at most", target=0),
        "sockets": Row("left behind: sockets", "", aim="at most", target=0),
        "slots": Row("left behind: requests in flight", "", aim="at most", target=0),
        "normal_p99": Row("without slow callers, p99", "ms"),
        "slow_p99": Row(f"{effort.slow:,} slow callers: p99 grows by", "%", aim="at most", target=10),
    }


class Trial:
    """Two upstreams in processes of their own, each behind a fault proxy, and a gateway before them."""

    def __init__(self, effort: Effort, one: FaultProxy, two: FaultProxy, address: Address) -> None:
        self.figures = figures(effort)
        self._effort = effort
        self._one = one
        self._two = two
        self._address = address

    async def run(self) -> None:
        """Every stage in its order. A stage that fails says why in its rows; the others go on."""
        await self._stage("healthy_p99 success grown_p99", self._one_dead)
        await self._stage("attempts", self._all_dead)
        await self._stage("left tasks sockets slots", self._leavers)
        await self._stage("normal_p99 slow_p99", self._slow)

    async def _stage(self, keys: str, measure: Callable[[], Awaitable[tuple[float, ...]]]) -> None:
        rows = [self.figures[key] for key in keys.split()]
        print(f"  {rows[0].name} …", file=sys.stderr, flush=True)
        try:
            values = await measure()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, httpx.HTTPError) as failure:
            for row in rows:
                row.why = f"{rows[0].name}: {type(failure).__name__} {failure}"[-200:]
            return
        for row, value in zip(rows, values, strict=True):
            row.value = value

    async def _one_dead(self) -> tuple[float, ...]:
        healthy = await self._honest()
        async with self._one.refusing():
            hurt = await self._honest()
        return healthy.p99_ms, 100 * hurt.share, hurt.p99_ms - healthy.p99_ms

    async def _all_dead(self) -> tuple[float, ...]:
        """Connections are taken and reset, so that each attempt is counted."""
        self._dead(Way(then="reset"))
        before = self._one.connections + self._two.connections
        seen = await self._honest()
        attempts = self._one.connections + self._two.connections - before
        self._dead(Way())
        return (attempts / len(seen.times_ms),)

    def _dead(self, way: Way) -> None:
        self._one.up = self._two.up = way

    async def _leavers(self) -> tuple[float, ...]:
        """In a gateway in this process, whose tasks can be counted."""
        with TemporaryDirectory(prefix="headgate-leavers-") as folder:
            settings = SETTINGS.format(one=self._one.url, two=self._two.url)
            with in_process.running(Path(folder), {"LOG_LEVEL": "error"}, settings + "log: {access: false}") as gateway:
                address = Address(int(gateway.url.rpartition(":")[2]), gateway.key)
                await callers.leavers(address, "both", 50)
                before = await self._held(gateway, (0.0, 0.0, 0.0))
                await callers.leavers(address, "both", self._effort.leavers)
                after = await self._held(gateway, before)
        tasks, sockets, slots = (max(0.0, now - was) for now, was in zip(after, before, strict=True))
        return float(self._effort.leavers), max(0.0, tasks - KEPT), max(0.0, sockets - KEPT), slots

    async def _held(self, gateway: in_process.RunningGateway, aim: tuple[float, ...]) -> tuple[float, ...]:
        """Tasks, descriptors and requests in flight, once they are down to the aim or stay above it."""
        until = monotonic() + SETTLED_S
        while True:
            self._one.reset()
            self._two.reset()
            await asyncio.sleep(0.5)
            tasks = sum(isinstance(found, asyncio.Task) and not found.done() for found in gc.get_objects())
            held = (float(tasks), float(len(os.listdir("/proc/self/fd"))), await in_flight(gateway.url))
            if monotonic() > until or all(now <= was + KEPT for now, was in zip(held, aim, strict=True)):
                return held

    async def _slow(self) -> tuple[float, ...]:
        """The callers come first, in a process of their own, then the normal load, beside which they stay."""
        normal = await self._honest()
        seconds = 2 * self._effort.seconds + COME_S
        crowd = get_context("spawn").Process(target=callers.crowd, args=(self._address, self._effort.slow, seconds))
        crowd.start()
        await asyncio.sleep(COME_S)
        hurt = await self._honest()
        crowd.terminate()
        crowd.join()
        return normal.p99_ms, 100 * (hurt.p99_ms / normal.p99_ms - 1)

    async def _honest(self) -> Seen:
        return await callers.honest(self._address, "both", self._effort.seconds)


async def in_flight(url: str) -> float:
    """What the gauge says."""
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"{url}/metrics")).text
    return float(text.partition("\nheadgate_in_flight ")[2].split("\n")[0])


def upstream(folder: Path) -> Server:
    port = free_port()
    command = [sys.executable, "-m", "headgate.testing", "--dialect", "openai", "--port", str(port)]
    return Server(command, port, LOAD_CORE, folder / f"upstream-{port}", os.environ)


def gateway(folder: Path, settings: str) -> Server:
    """`headgate serve` with this settings file."""
    port = free_port()
    (folder / "headgate.yaml").write_text(settings)
    environ = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environ |= {"HEADGATE_HOME": str(folder), "API_KEYS": KEY}
    command = [str(Path(sys.executable).with_name("headgate")), "serve", "--host", "127.0.0.1", "--port", str(port)]
    return Server(command, port, SERVER_CORE, folder / "gateway", environ)


@asynccontextmanager
async def trial(folder: Path, effort: Effort) -> AsyncIterator[Trial]:
    with running(upstream(folder)) as first, running(upstream(folder)) as second:
        ports = first.port, second.port
        urls = [f"http://127.0.0.1:{port}/v1" for port in ports]
        async with FaultProxy(urls[0]) as one, FaultProxy(urls[1]) as two:
            server = await asyncio.to_thread(gateway, folder, SETTINGS.format(one=one.url, two=two.url))
            try:
                await asyncio.to_thread(server.wait)
                yield Trial(effort, one, two, Address(server.port, KEY))
            finally:
                await asyncio.to_thread(server.end)


async def measure(effort: Effort) -> list[Row]:
    with TemporaryDirectory(prefix="headgate-reliability-") as folder:
        async with trial(Path(folder), effort) as one:
            await one.run()
            return list(one.figures.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="within a minute, for a first look")
    parser.add_argument("--write-docs", action="store_true", help="put the table into docs/reliability.md")
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    at, machine = report.now(), report.machine()
    pin(LOAD_CORE)
    rows = asyncio.run(measure(QUICK if options.quick else WHOLE))
    measured = Report(at, machine, options.quick, rows)
    print(report.table(measured), report.reasons(measured), sep="\n\n")
    if options.write_docs:
        report.write_document(measured, DOCUMENT)


if __name__ == "__main__":
    main()
