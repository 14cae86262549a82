"""A process whose disk fills up and is emptied again, by its own file size limit; prints what it saw as JSON."""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path

from headgate.errors import JournalUnavailable
from headgate.ledger.journal import Journal
from tests.ledger.records import record, underway


def limit(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def refuses(journal: Journal, request_id: str) -> bool:
    try:
        journal.opened(underway(request_id))
    except JournalUnavailable:
        return True
    return False


def main(folder: Path) -> None:
    journal = Journal(folder, fsync_ms=5)
    journal.opened(underway("before"))
    journal.opened(underway("during"))
    limit(journal.segments[0].size + 40)
    journal.closed(record("during"))
    torn = journal.segments[0].size
    limit(0)
    refused = [refuses(journal, f"refused-{number}") for number in range(3)]
    written = journal.written
    limit(resource.RLIM_INFINITY)
    refused.append(refuses(journal, "after"))
    journal.closed(record("after"))
    json.dump({"torn": torn, "refused": refused, "written": [written, journal.written]}, sys.stdout)
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
