"""The processes of a measurement: started on a core of their own, awaited, ended, and read from /proc."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from string import Template
from time import monotonic, perf_counter, sleep

from fast_upstream import chat_answer

HERE = Path(__file__).parent
SERVER_CORE = 0
"""Where the gateway or nginx as a proxy runs, alone."""
LOAD_CORE = 1
"""Where the load and the upstream run."""
TICK_US = 1_000_000 / os.sysconf("SC_CLK_TCK")
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6


class NotThere(Exception):
    """A server is not there: it ended, and the message holds its last words, or it does not listen."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def cores() -> list[int]:
    return sorted(os.sched_getaffinity(0))


def pin(core: int) -> None:
    """Keeps this process on one core, where there are two to choose from."""
    if len(available := cores()) > 1:
        os.sched_setaffinity(0, {available[core]})


class Server:
    """One running server and its children."""

    def __init__(self, command: list[str], port: int, core: int, output: Path, env: Mapping[str, str]) -> None:
        self.port = port
        self._output = output
        self._spawned = perf_counter()
        with output.open("wb") as file:
            self._process = subprocess.Popen(
                command,
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=dict(env),
                preexec_fn=lambda: pin(core),
            )

    def wait(self, limit_s: float = 30) -> float:
        """Waits until the port is open; returns the seconds since the spawn. Raises `NotThere`."""
        deadline = monotonic() + limit_s
        while monotonic() < deadline:
            if self._process.poll() is not None:
                raise self._ended()
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                sleep(0.005)
            else:
                return self.age_s()
        raise NotThere(f"nobody listens on its port after {limit_s} s")

    def _ended(self) -> NotThere:
        said = self._output.read_text(errors="replace")[-2000:]
        return NotThere(f"it ended with {self._process.returncode}: {said or 'it said nothing'}")

    def age_s(self) -> float:
        """Seconds since the spawn."""
        return perf_counter() - self._spawned

    def end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def cpu_us(self) -> float:
        """CPU time of the process and its children so far, in microseconds."""
        return sum(sum(map(int, stat[11:13])) for stat in map(_stat, self._family())) * TICK_US

    def resident_mb(self) -> float:
        return sum(int(_stat(pid)[21]) for pid in self._family()) * PAGE_MB

    def _family(self) -> list[int]:
        if self._process.poll() is not None:
            raise self._ended()
        pids = [self._process.pid]
        for pid in pids:
            for task in Path(f"/proc/{pid}/task").iterdir():
                pids += map(int, (task / "children").read_text().split())
        return pids


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat behind the name, `state` first."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


@contextmanager
def running(server: Server) -> Iterator[Server]:
    try:
        server.wait()
        yield server
    finally:
        server.end()


def nginx(program: str, folder: Path, core: int, part: str, **facts: object) -> Server:
    """nginx with one worker and one of the two server blocks beside this file."""
    port = free_port()
    folder.mkdir()
    server = Template((HERE / part).read_text()).substitute(PORT=port, **facts)
    whole = Template((HERE / "nginx.conf").read_text()).substitute(FOLDER=folder, SERVER=server)
    configuration = folder / "nginx.conf"
    configuration.write_text(whole)
    # `-e` keeps nginx from opening the distribution's own log before it has read the configuration.
    command = [program, "-e", str(folder / "error.log"), "-p", str(folder), "-c", str(configuration)]
    return Server(command, port, core, folder / "output", os.environ)


def static(program: str, folder: Path) -> Server:
    """nginx as a provider: one fixed chat completion."""
    return nginx(program, folder, LOAD_CORE, "nginx_static.conf", ANSWER=chat_answer().decode())


def proxy(program: str, folder: Path, upstream: int) -> Server:
    """nginx as a reverse proxy: the yardstick."""
    return nginx(program, folder, SERVER_CORE, "nginx_proxy.conf", UPSTREAM=upstream)


def streaming(folder: Path, events: int) -> Server:
    """A provider whose streams cost next to nothing."""
    port = free_port()
    command = [sys.executable, str(HERE / "fast_upstream.py"), "--port", str(port), "--events", str(events)]
    return Server(command, port, LOAD_CORE, folder / "streaming", os.environ)
