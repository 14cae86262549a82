"""`python -m headgate.testing`: the fake upstream as a process."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys

from headgate.testing import pages
from headgate.testing.answers import Pacing
from headgate.testing.dialects import DIALECTS
from headgate.testing.fake import FakeUpstream, Options


def main(arguments: list[str] | None = None) -> None:
    """Serves until SIGINT or SIGTERM."""
    asyncio.run(_serve(_options(arguments)))


def _options(arguments: list[str] | None) -> Options:
    parser = argparse.ArgumentParser(
        prog="python -m headgate.testing",
        description="A fake of six providers on one port. It prints what it serves; GET / says the same.",
        epilog="A call fails on demand with the header `x-fake-fault: status=503` or a model named `fake-status-503`.",
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9999)
    parser.add_argument("--dialect", choices=sorted(DIALECTS), help="serve this one at the root")
    parser.add_argument("--key", help="the only key that is let in; without, any key is")
    parser.add_argument("--first-byte-s", type=float, default=0.0, help="seconds before the first byte of an answer")
    parser.add_argument("--tokens-per-s", type=float, default=0.0, help="the pace of streams; 0: at once")
    parser.add_argument("--split-every", type=int, default=0, help="bytes a write; 0: one event a write")
    parser.add_argument("--cold-start-s", type=float, default=0.0, help="more seconds for the first call of a model")
    said = parser.parse_args(arguments)
    options = Options(
        host=said.host,
        port=said.port,
        cold_start_s=said.cold_start_s,
        pacing=Pacing(first_byte_s=said.first_byte_s, tokens_per_s=said.tokens_per_s, split_every=said.split_every),
    )
    if said.dialect:
        options["dialect"] = said.dialect
    if said.key:
        options["key"] = said.key
    return options


async def _serve(options: Options) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with FakeUpstream(**options) as fake:
        sys.stdout.write(pages.front(fake))
        sys.stdout.flush()
        await stop.wait()


if __name__ == "__main__":
    main()
