"""Worker processes under one parent, which hands SIGHUP on to them."""

from __future__ import annotations

import os
import signal

from uvicorn.supervisors import Multiprocess


class Workers(Multiprocess):
    """uvicorn's supervisor, which would start every worker anew: here each reads its settings again."""

    def handle_hup(self) -> None:
        for process in self.processes:
            if process.pid is not None and process.exitcode is None:
                os.kill(process.pid, signal.SIGHUP)
