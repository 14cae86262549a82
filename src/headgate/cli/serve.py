"""`headgate serve`: the server, in this process or in several."""

from __future__ import annotations

import signal
from math import ceil
from pathlib import Path

import click

from headgate.cli.options import read, settings

KEEP_ALIVE_S = 75
"""Longer than the usual 60 s of load balancers: they close idle connections, not we under their next request."""


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

    It stops on SIGTERM and SIGINT, after open requests have ended or the drain time is over.

    \b
    On this machine only, with a key that is made and printed at the first start:
      headgate serve
    For a network, on four processes:
      REDIS_URL=redis://cache:6379 headgate serve --host 0.0.0.0 --workers 4
    """
    flags = {"host": host, "port": port, "workers": workers, "log_level": log_level, "config": config, "home": home}
    decided = read(flags).config
    for received in (signal.SIGTERM, signal.SIGINT):
        signal.signal(received, _leave)
    import uvicorn

    from headgate.config import hand_on
    from headgate.house import House
    from headgate.telemetry.logs import setup

    server = decided.server
    if server.workers > 1:
        setup(decided.log.level, decided.secrets())
        hand_on(flags)
    uvicorn.run(
        "headgate:app" if server.workers > 1 else House(decided),
        host=server.host,
        port=server.port,
        workers=server.workers,
        loop="uvloop",
        http="headgate.edge.protocol:Protocol",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=ceil(server.drain_s),
    )


def _leave(received: int, frame: object) -> None:
    """Runs before the server takes signals and, for each that it took, after it has drained: both are a good end."""
    raise SystemExit(0)
