"""What is known of one target of late: its breaker, its rest, its load, its speed."""

from __future__ import annotations

from math import exp

from headgate.routing.breaker import Breaker

MEMORY_S = 10.0
"""How fast an old first-token time loses its weight."""
UNMEASURED_S = 1.0
"""What a target counts for that has never answered and is already busy."""


class Condition:
    """Changed by `Traffic` alone. Times in seconds on its monotonic clock."""

    __slots__ = ("_measured", "breaker", "busy", "first_token_s", "low_until", "rests_until", "why_rests")

    def __init__(self) -> None:
        self.breaker = Breaker()
        self.busy = 0
        """Requests that are on their way."""
        self.first_token_s = 0.0
        """A peak-sensitive moving average (Finagle's `PeakEwma`): a rise counts at once, a fall slowly."""
        self._measured = 0.0
        self.rests_until = 0.0
        self.why_rests = ""
        self.low_until = 0.0
        """Until then the provider's own counters say that little is left before a 429."""

    def forgive(self) -> None:
        """Forgets breaker, rest and headroom; load and speed stay."""
        self.breaker.whole()
        self.rests_until = self.low_until = 0.0

    @property
    def blank(self) -> bool:
        """Whether nothing was ever held against it, or all is forgotten."""
        return not (self.breaker.failures or self.breaker.until or self.rests_until or self.low_until)

    def fit(self, now: float) -> bool:
        """Whether it may be chosen: not resting, and its breaker lets a request go."""
        return now >= self.rests_until and self.breaker.admits(now)

    def sound(self, now: float) -> bool:
        """Whether there is nothing at all to remember against it."""
        return not self.breaker.failures and not self.breaker.until and now >= max(self.rests_until, self.low_until)

    def back_at(self, now: float) -> float:
        """When it may be chosen again."""
        return max(self.rests_until, self.breaker.until, now)

    def measure(self, first_token_s: float, now: float) -> None:
        if first_token_s >= self.first_token_s:
            self.first_token_s = first_token_s
        else:
            old = exp((self._measured - now) / MEMORY_S)
            self.first_token_s = self.first_token_s * old + first_token_s * (1 - old)
        self._measured = now

    def load(self, now: float) -> float:
        """What one more request would wait here: what nobody has measured lately counts for little."""
        expected = self.first_token_s * exp((self._measured - now) / MEMORY_S)
        return (expected or (UNMEASURED_S if self.busy else 0.0)) * (self.busy + 1)
