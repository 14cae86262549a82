"""A process that writes its journal as fast as it can until it is killed, and says what was acknowledged: `o` or `c`
and the request's id, one a line, each said only after the call returned."""

from __future__ import annotations

import asyncio
import os
import sys
from itertools import count
from pathlib import Path

from headgate.ledger.journal import Journal
from tests.ledger.records import record, underway


def serve(journal: Journal, number: int, later: list[str]) -> None:
    """One request opened, and the one from three requests ago closed."""
    request_id = f"{os.getpid()}-{number}"
    journal.opened(underway(request_id))
    os.write(1, b"o %s\n" % request_id.encode())
    later.append(request_id)
    if len(later) > 3:
        done = later.pop(0)
        journal.closed(record(done))
        os.write(1, b"c %s\n" % done.encode())


async def main(folder: Path, database_url: str) -> None:
    journal = Journal(folder, fsync_ms=5)
    if database_url:
        from headgate.ledger.repository import UsageRepository
        from headgate.ledger.shipper import Shipper
        from headgate.storage.session import Database
        from headgate.types import Secret

        Shipper(journal, UsageRepository(Database(Secret(database_url))), ship_ms=2).start()
    later: list[str] = []
    for number in count():
        serve(journal, number, later)
        if number % 20 == 0:
            await asyncio.sleep(0.001)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
