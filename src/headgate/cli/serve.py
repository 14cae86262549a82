"""`headgate serve`: the server, in this process or in several."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import replace

from headgate.cli.options import read, settings
from headgate.errors import ConfigError

if TYPE_CHECKING:
    from headgate.config import Config, Server

NOT_STARTED = 3
"""The exit status when the start failed; the log has said why."""


@click.command()
@click.option("--host", help="The address to listen on (default: 127.0.0.1).")
@click.option("--port", type=int, help="The port to listen on (default: 8000).")
@click.option("--workers", type=int, help="Processes that answer (default: 1; more need Redis).")
@click.option("--log-level", help="debug, info, warning or error (default: info).")
@settings
def serve(
    host: str | None,
    port: int | None,
    workers: int | None,
    log_level: str | None,
    config: Path | None,
    home: Path | None,
) -> None:
    """Start the server.

    It stops on SIGTERM and SIGINT, after open requests have ended or the drain time is over. On SIGHUP it reads its
    settings again, and follows them without a restart.

    \b
    On this machine only, with a key that is made and printed at the first start:
      headgate serve
    For a network, on four processes:
      REDIS_URL=redis://cache:6379 headgate serve --host 0.0.0.0 --workers 4
    """
    flags: dict[str, object] = {
        "host": host,
        "port": port,
        "workers": workers,
        "log_level": log_level,
        "config": config,
        "home": home,
    }
    decided = read(flags).config
    for received in (signal.SIGTERM, signal.SIGINT):
        signal.signal(received, _leave)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    listener = listen(decided.server.host, decided.server.port)
    port = listener.getsockname()[1]
    if decided.server.workers > 1:
        listener.close()
        start_many(decided, flags if decided.server.port else {**flags, "port": port}, port)
    else:
        start_one(listening(decided, port), lambda: listening(read(flags).config, port), listener)


def listening(decided: Config, port: int) -> Config:
    """Settings with the port that was found, where any would do."""
    return replace(decided, server=replace(decided.server, port=decided.server.port or port))


def start_one(decided: Config, again: Callable[[], Config], listener: socket.socket) -> None:
    """Serves on a socket that is bound already: nothing is announced that could not be kept. `again` reads the settings
    as `decided` was read."""
    import uvicorn

    from headgate.house import House

    server = uvicorn.Server(uvicorn.Config(House(decided, again), **habits(decided.server)))
    server.run(sockets=[listener])
    if not server.started:
        raise SystemExit(NOT_STARTED)


def start_many(decided: Config, flags: dict[str, object], port: int) -> None:
    """Starts worker processes, which read the settings anew and share one socket."""
    import uvicorn

    from headgate.cli.workers import Workers
    from headgate.config import hand_on
    from headgate.telemetry.logs import setup

    setup(decided.log.level, decided.secrets())
    hand_on(flags)
    server = decided.server
    config = uvicorn.Config("headgate:app", host=server.host, port=port, workers=server.workers, **habits(server))
    Workers(config, sockets=[config.bind_socket()]).run()


def habits(server: Server) -> dict[str, Any]:
    """What uvicorn is told in either case."""
    from headgate.edge.protocol import protocol

    return {
        "loop": "uvloop",
        "http": protocol(server),
        "ws": "none",
        "lifespan": "on",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "timeout_graceful_shutdown": ceil(server.drain_s),
    }


def listen(host: str, port: int) -> socket.socket:
    """Binds the address. Raises `ConfigError` where it is taken or is none of this machine's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(
            f"{host}:{port} cannot be listened on: {reason}; choose another with --port or --host"
        ) from None


def _leave(received: int, frame: object) -> None:
    """Runs before the server takes signals and, for each that it took, after it has drained: both are a good end."""
    raise SystemExit(0)
