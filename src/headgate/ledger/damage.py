"""Where lines go that cannot become rows: a folder of their own, for a person to look at. Nothing reads them again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

log = logging.getLogger(__name__)


class Damage:
    """Keeps the bytes and says so once a segment. `lines` counts what was kept, `torn` the unfinished last lines."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.lines = 0
        self.torn = 0

    def keep(self, segment: str, lines: Sequence[bytes]) -> None:
        """Appends lines to the segment's file. Raises `OSError`: then they must stay where they are."""
        if not lines:
            return
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = self._folder / segment
        known = file.exists()
        with file.open("ab") as kept:
            kept.writelines(line if line.endswith(b"\n") else line + b"\n" for line in lines)
        self.lines += len(lines)
        if not known:
            log.error("journal lines that cannot be read or stored were moved to %s", file)

    def tear(self, segment: str, count: int) -> None:
        """Notes a last line that was never finished: its write was cut, so nobody was told that it was done."""
        self.torn += 1
        log.warning("the journal segment %s ends in %d bytes of an unfinished line", segment, count)
