"""A gateway in processes of its own: started, asked, stopped, killed."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

BIN = Path(sys.executable).parent
START_S = 20.0
END_S = 20.0


class Serving:
    """One server, or the parent of several. `said` is everything that it wrote so far."""

    def __init__(self, command: list[str], folder: Path, environ: Mapping[str, str], port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._address = ("127.0.0.1", port)
        self.said = ""
        self._silent = False
        self._news = threading.Condition()
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def await_said(self, pattern: str, times: int = 1) -> None:
        """Raises `AssertionError` when it ends, or `START_S` pass, before it has said that so often."""

        def heard() -> bool:
            return len(re.findall(pattern, self.said)) >= times

        with self._news:
            self._news.wait_for(lambda: self._silent or heard(), START_S)
        assert heard(), f"it never said {pattern!r}:\n{self.said}"

    def await_answers(self) -> None:
        """Raises `AssertionError` when it ends, or `START_S` pass, before it answers."""
        pause = threading.Event()
        until = monotonic() + START_S
        while not self._answers():
            assert self.runs, f"it ended:\n{self.said}"
            assert monotonic() < until, f"it does not serve:\n{self.said}"
            pause.wait(0.02)

    def await_refusal(self) -> None:
        """Raises `AssertionError` when `END_S` pass before it takes no more connections."""
        pause = threading.Event()
        until = monotonic() + END_S
        while True:
            try:
                socket.create_connection(self._address, timeout=END_S).close()
            except ConnectionError:
                return
            assert monotonic() < until, f"it still takes connections:\n{self.said}"
            pause.wait(0.02)

    def terminate(self) -> None:
        """SIGTERM."""
        self._process.send_signal(signal.SIGTERM)

    def hang_up(self) -> None:
        """SIGHUP."""
        self._process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        """SIGKILL, and the end."""
        self._process.kill()
        self.wait()

    def wait(self) -> int:
        """Its exit code, once it is over."""
        code = self._process.wait(END_S)
        self._listener.join(END_S)
        return code

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    def _answers(self) -> bool:
        try:
            with socket.create_connection(self._address, timeout=START_S) as connection:
                connection.sendall(b"GET /health/live HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")
                return connection.recv(12) == b"HTTP/1.1 200"
        except (ConnectionRefusedError, ConnectionResetError):
            return False

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                with self._news:
                    self.said += line
                    self._news.notify_all()
        with self._news:
            self._silent = True
            self._news.notify_all()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


@contextmanager
def serving(folder: Path, environ: Mapping[str, str] | None = None, *flags: str) -> Iterator[Serving]:
    """`headgate serve` on a free port, in `folder`, until the scope is left."""
    port = free_port()
    command = [str(BIN / "headgate"), "serve", "--port", str(port), *flags]
    with kept(Serving(command, folder, environ or {}, port)) as server:
        server.await_answers()
        yield server


@contextmanager
def kept(server: Serving) -> Iterator[Serving]:
    """Ends a server with the scope, gently if it lets itself."""
    try:
        yield server
    finally:
        if server.runs:
            server.terminate()
            try:
                server.wait()
            except subprocess.TimeoutExpired:
                server.kill()
