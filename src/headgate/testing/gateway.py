"""A whole gateway on a real socket, in a thread of the test's own process."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import uvicorn

from headgate.config import load
from headgate.edge.protocol import protocol
from headgate.house import House

OWNER_KEY = "an-owner-key-for-tests-only"
CALLER_KEY = "a-caller-key-for-tests-only"
START_S = 20.0

VARIABLES = {
    "openai": ("OPENAI_BASE_URL", "OPENAI_API_KEY"),
    "anthropic": ("ANTHROPIC_API_BASE", "ANTHROPIC_API_KEY"),
    "deepseek": ("DEEPSEEK_API_BASE", "DEEPSEEK_API_KEY"),
    "openrouter": ("OPENROUTER_API_BASE_URL", "OPENROUTER_API_KEY"),
    "huggingface": ("HUGGINGFACE_BASE_URL", "HUGGINGFACE_API_TOKEN"),
    "ollama": ("OLLAMA_BASE_URL", "OLLAMA_API_KEY"),
}
"""Provider → the variables that say where it is and which key it takes."""


class RunningGateway:
    """A gateway that serves. `house` is for looking inside; calls go to `url`, with one of the keys."""

    def __init__(self, house: House, url: str) -> None:
        self.house = house
        self.url = url
        self.owner_key = OWNER_KEY
        self.key = CALLER_KEY


@contextmanager
def running(home: Path, environ: Mapping[str, str] | None = None, settings: str = "") -> Iterator[RunningGateway]:
    """Starts a gateway whose whole configuration is `environ` and `settings`, the text of a headgate.yaml.

    Raises `ConfigError` for settings that it refuses, `RuntimeError` when it does not start.
    """
    home.mkdir(parents=True, exist_ok=True)
    (home / "headgate.yaml").write_text(settings)
    base = {"HEADGATE_HOME": str(home), "HEADGATE_ADMIN_KEY": OWNER_KEY, "API_KEYS": CALLER_KEY}
    read = partial(load, environ=base | dict(environ or {}), folder=home)
    house = House(read(), read)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(
            uvicorn.Config(
                house,
                loop="uvloop",
                http=protocol(house.config.server),
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=10,
            )
        )
        thread = threading.Thread(target=_serve, args=(server, listener), name="gateway", daemon=True)
        thread.start()
        _await_start(server, thread)
        try:
            yield RunningGateway(house, f"http://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            server.should_exit = True
            thread.join(START_S)


def _serve(server: uvicorn.Server, listener: socket.socket) -> None:
    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(server.serve(sockets=[listener]))


def _await_start(server: uvicorn.Server, thread: threading.Thread) -> None:
    pause = threading.Event()
    waited = 0.0
    while not server.started:
        if not thread.is_alive() or waited > START_S:
            raise RuntimeError("the gateway did not start; its log says why")
        pause.wait(0.01)
        waited += 0.01
