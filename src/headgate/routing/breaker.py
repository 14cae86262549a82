"""A circuit breaker: after a row of failures a target is left alone for a while, then one request probes it."""

from __future__ import annotations

from typing import Literal

State = Literal["closed", "open", "half_open"]

FAILURES = 5
"""So many failures in a row open it."""
OPEN_S = 5.0
"""How long it stays open; twice as long after each probe that fails, up to `OPEN_MAX_S`."""
OPEN_MAX_S = 60.0
PROBE_S = 60.0
"""A probe that has not ended by then stops no other."""


class Breaker:
    """Knows nothing of clocks: every method is told the time, in seconds on a monotonic clock."""

    __slots__ = ("_open_s", "_probing_until", "failures", "until")

    def __init__(self) -> None:
        self.whole()

    def whole(self) -> None:
        """A request was served to its end: all is forgotten."""
        self.failures = 0
        self.until = 0.0
        """When it may be probed; 0 while it is closed."""
        self._open_s = OPEN_S
        self._probing_until = 0.0

    def state(self, now: float) -> State:
        if not self.until:
            return "closed"
        return "open" if now < self.until else "half_open"

    def admits(self, now: float) -> bool:
        """Whether a request may go: always while closed, one at a time while half-open."""
        return not self.until or (now >= self.until and now >= self._probing_until)

    def begin(self, now: float) -> bool:
        """A request goes. Is it the probe? Then it has to say how it ended: `failed`, `whole` or `left`."""
        probes = self.until > 0 and self.admits(now)
        if probes:
            self._probing_until = now + PROBE_S
        return probes

    def failed(self, now: float, *, probe: bool = False) -> None:
        """A request failed. Once the breaker has opened, only its probe says anything new."""
        state = self.state(now)
        self.failures += 1
        if state == "closed" and self.failures >= FAILURES:
            self.until = now + self._open_s
        elif state == "half_open" and probe:
            self._open_s = min(self._open_s * 2, OPEN_MAX_S)
            self.until, self._probing_until = now + self._open_s, 0.0

    def answered(self) -> None:
        """An answer has begun: requests may go again, on trial until one is whole."""
        if self.until:
            self.until = self._probing_until = 0.0
            self.failures = FAILURES - 1

    def left(self) -> None:
        """The probe ended without a verdict: another may go."""
        self._probing_until = 0.0
