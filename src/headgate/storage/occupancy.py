"""Who uses a home: the lock by which a server that counts in its own memory notices another one."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class Occupancy:
    """A server's stay in its home. The lock goes with the process, however that ends."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._lock = -1

    def enter(self) -> str:
        """Takes the home; returns a sentence to warn with where that cannot be done, else nothing."""
        try:
            self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(self._home / "server.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return (
                f"another server uses {self._home} too: keys that one of them revokes are known to the other up to two "
                "seconds later, and each counts for itself. Give it a HEADGATE_HOME of its own, or both a REDIS_URL."
            )
        except OSError as error:
            return f"whether another server uses {self._home} cannot be seen: {error.strerror or error}"
        return ""

    def leave(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
