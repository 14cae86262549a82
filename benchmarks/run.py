"""Measures the gateway against nginx in the same run: `make bench`. Prints and writes figures; never fails on time."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import choosing
import gateway
import load
import msgspec
import report
import servers
from figures import figures
from report import Report
from servers import NotThere, Server


class Effort(msgspec.Struct, frozen=True):
    """How long everything takes: rounds, seconds of each load, events of each stream."""

    rounds: int
    seconds: int
    events: int


KEEPING = "cache: {ttl_s: 3600}\n"
"""A second gateway gives kept answers again."""
WHOLE = Effort(rounds=3, seconds=4, events=2000)
QUICK = Effort(rounds=1, seconds=2, events=500)


class Bench:
    """nginx as yardstick and as provider, a provider that streams, and the gateway between; measured in stages."""

    def __init__(self, wrk: str, nginx: str, folder: Path, effort: Effort, stack: ExitStack) -> None:
        self.figures = figures()
        self._wrk = wrk
        self._effort = effort
        self._requests = 0
        self._static = stack.enter_context(servers.running(servers.static(nginx, folder / "static")))
        self._proxy = stack.enter_context(servers.running(servers.proxy(nginx, folder / "proxy", self._static.port)))
        self._streaming = stack.enter_context(servers.running(servers.streaming(folder, effort.events)))
        self._gateway = gateway.start(folder / "gateway", self._static.port, self._streaming.port)
        stack.callback(self._gateway.end)
        self._keeping = gateway.start(folder / "keeping", self._static.port, self._streaming.port, KEEPING)
        stack.callback(self._keeping.end)

    def run(self) -> None:
        """Every stage in its order. A stage that fails says why in its rows; the others go on."""
        self._stage("installed", gateway.installed_mb)
        self._stage("help", gateway.help_s)
        self._stage("first_answer", lambda: gateway.first_answer_s(self._gateway))
        self._stage("resident", self._gateway.resident_mb)
        self._stage("direct_p50 direct_p99", lambda: self._milliseconds(self._static))
        self._stage("nginx_p50 nginx_p99", lambda: self._added(self._proxy))
        self._stage("gateway_p50 gateway_p99", lambda: self._added(self._gateway))
        self._rates()
        self._stage("ratio", lambda: self._value("gateway") / self._value("nginx"))
        self._stage("translated", lambda: self._answers(self._gateway, gateway.TRANSLATED).rate)
        self._stage("translated_ratio", lambda: self._value("translated") / self._value("gateway"))
        self._stage("cached", lambda: self._answers(self._keeping).rate)
        self._stage("cached_ratio", lambda: self._value("cached") / self._value("gateway"))
        self._stage("choosing", choosing.choosing_us)
        self._stage("alone", choosing.alone_us)
        self._streams()
        self._stage("grown", lambda: self._gateway.resident_mb() - self._value("resident"))
        self._stage("requests", lambda: float(self._requests))

    def _stage(self, keys: str, measure: Callable[[], float | Iterable[float]]) -> None:
        rows = [self.figures[key] for key in keys.split()]
        print(f"  {rows[0].name} …", file=sys.stderr, flush=True)
        try:
            measured = measure()
        except (NotThere, load.Failed) as failure:
            for row in rows:
                row.why = " ".join(str(failure).split())[-200:]
            return
        values = [measured] if isinstance(measured, float) else list(measured)
        for row, value in zip(rows, values, strict=True):
            row.value = value

    def _value(self, key: str) -> float:
        row = self.figures[key]
        if row.value is None:
            raise load.Failed(row.why)
        return row.value

    def _answers(self, server: Server, model: str = gateway.PASSED, connections: int = 32) -> load.Answers:
        server.wait()
        seen = load.answers(self._wrk, server, connections, self._effort.seconds, model)
        if server is self._gateway:
            self._requests += seen.requests
        return seen

    def _milliseconds(self, server: Server) -> tuple[float, float]:
        seen = self._answers(server, connections=1)
        return seen.p50_us / 1000, seen.p99_us / 1000

    def _added(self, server: Server) -> tuple[float, float]:
        p50_ms, p99_ms = self._milliseconds(server)
        return p50_ms - self._value("direct_p50"), p99_ms - self._value("direct_p99")

    def _rates(self) -> None:
        """nginx and the gateway in turns, so that what the machine does meanwhile hits both."""
        through_nginx: list[float] = []
        through_gateway: list[load.Answers] = []
        for _ in range(self._effort.rounds):
            self._stage("nginx", lambda: self._median(through_nginx, self._answers(self._proxy).rate))
            self._stage("gateway cpu", lambda: self._medians(through_gateway, self._answers(self._gateway)))

    @staticmethod
    def _median(so_far: list[float], latest: float) -> float:
        so_far.append(latest)
        return median(so_far)

    @staticmethod
    def _medians(so_far: list[load.Answers], latest: load.Answers) -> tuple[float, float]:
        so_far.append(latest)
        return median(one.rate for one in so_far), median(one.cpu_us for one in so_far)

    def _streams(self) -> None:
        def rate(server: Server, model: str, *dialect: str) -> float:
            server.wait()
            return load.events(server, model, self._effort.seconds, self._effort.events, *dialect).rate

        messages = ("/v1/messages", "message_stop")
        self._stage("direct_events", lambda: rate(self._streaming, gateway.STREAMED))
        self._stage("passed_events", lambda: rate(self._gateway, gateway.STREAMED))
        self._stage("direct_messages", lambda: rate(self._streaming, gateway.TRANSLATED, *messages))
        self._stage("translated_events", lambda: rate(self._gateway, gateway.TRANSLATED))


def tools() -> tuple[str, str]:
    """The paths of wrk and nginx. Ends the program where one is missing."""
    path = {name: shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin") for name in ("wrk", "nginx")}
    if missing := [name for name, found in path.items() if found is None]:
        sys.exit(
            f"make bench needs {' and '.join(missing)}: apt-get install {' '.join(missing)} (or your system's way)"
        )
    return str(path["wrk"]), str(path["nginx"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="within a minute, for a first look")
    parser.add_argument("--write-docs", action="store_true", help="put the table into docs/benchmarks.md")
    options = parser.parse_args()
    wrk, nginx = tools()
    at, machine = report.now(), report.machine(nginx)
    with TemporaryDirectory(prefix="headgate-bench-") as folder, ExitStack() as stack:
        bench = Bench(wrk, nginx, Path(folder), QUICK if options.quick else WHOLE, stack)
        bench.run()
    measured = Report(at, machine, options.quick, list(bench.figures.values()))
    print(report.table(measured), report.reasons(measured), sep="\n\n")
    report.write(measured)
    if options.write_docs:
        report.write_document(measured)


if __name__ == "__main__":
    main()
