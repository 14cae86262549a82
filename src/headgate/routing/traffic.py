"""All that changes about targets while requests pass: who is well, who rests, and whose turn it is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from random import Random
from time import monotonic, time

from headgate.errors import UpstreamAuthFailed, UpstreamError, UpstreamRateLimited, UpstreamRefused
from headgate.routing.breaker import Breaker
from headgate.routing.condition import Condition
from headgate.routing.headroom import low_for_s
from headgate.routing.routes import NO_ROUTES, Routes
from headgate.routing.stickiness import Stickiness
from headgate.routing.strategies import STRATEGIES, Price, Strategy, Surroundings
from headgate.types import Route, Target, Way

REST_S = 5.0
"""How long a credential rests after a 429 that names no wait."""
REST_LEAST_S = 1.0
REST_MOST_S = 600.0
REFUSED_S = 60.0
"""How long a credential rests that was refused: by then somebody may have mended it."""
QUOTA_S = 300.0
CONDITIONS = 4096
"""Targets that are remembered at once: callers can make up names of models."""

Observer = Callable[[Target, UpstreamError], None]


class Conditions(dict[Target, Condition]):
    """Every target that anybody asked about. Where these are too many, idle ones that no route leads to are forgotten:
    those that nothing is held against, else the older half."""

    def __init__(self) -> None:
        self.ailing: set[Target] = set()
        """Those that something is held against: empty on a good day, and then nothing else is looked at."""
        self.routed = NO_ROUTES.targets
        """The targets of all routes."""

    def __missing__(self, target: Target) -> Condition:
        if len(self) >= CONDITIONS:
            self._make_room()
        self[target] = made = Condition()
        return made

    def _make_room(self) -> None:
        idle = [target for target, condition in self.items() if not condition.busy and target not in self.routed]
        for target in [target for target in idle if self[target].blank] or idle[: len(idle) // 2 + 1]:
            del self[target]
            self.ailing.discard(target)

    def forgive(self) -> None:
        for condition in self.values():
            condition.forgive()


class Traffic:
    """The state of all targets of one process; it outlives the routes, which may be replaced at any time.

    `clock` is monotonic, in seconds. `observe` is told of every failed call.
    """

    def __init__(
        self,
        price: Price,
        observe: Observer,
        clock: Callable[[], float] = monotonic,
        random: Random | None = None,
    ) -> None:
        self.clock = clock
        self.conditions = Conditions()
        self.ailing = self.conditions.ailing
        self.stickiness = Stickiness()
        self._refused: dict[tuple[str, str], tuple[float, str]] = {}
        self._around = Surroundings(clock, random or Random(), self.conditions, price, self.stickiness)
        self._strategies: dict[tuple[str, str], Strategy] = {}
        self._observe = observe

    @property
    def calm(self) -> bool:
        """Whether nothing is held against anybody."""
        return not (self.ailing or self._refused)

    def strategy(self, route: Route) -> Strategy:
        """The route's strategy, with what it remembers."""
        found = self._strategies.get((route.name, route.strategy))
        if found is None:
            found = self._strategies[route.name, route.strategy] = STRATEGIES[route.strategy](route.name, self._around)
        return found

    def forget(self) -> None:
        """Holds nothing against any target any more: somebody says that all is mended."""
        self.ailing.clear()
        self._refused.clear()
        self.conditions.forgive()

    def renew(self, provider: str, credential: str) -> None:
        """Another secret stands for a credential: what made the old one rest says nothing of it."""
        self._refused.pop((provider, credential), None)
        for target, condition in self.conditions.items():
            if (target.provider, target.credential) == (provider, credential):
                condition.rests_until = condition.low_until = 0.0

    def lead(self, before: Routes, after: Routes) -> None:
        """Other routes from now on: what is known of their targets no made-up names push out, and what the strategy of
        a changed one remembers was about its old targets."""
        self.conditions.routed = after.targets
        for name in (name for name, route in before.named.items() if after.named.get(name) != route):
            for kind in STRATEGIES:
                self._strategies.pop((name, kind), None)

    def choose(self, route: Route, tried: Collection[Target], conversation: str) -> Target | None:
        """The best target that is fit; None where none is left. Those near a rate limit come after the others."""
        for tier in self._well(route.tiers, tried):
            return tier[0].target if len(tier) == 1 else self.strategy(route).choose(tier, conversation).target
        return None

    def weakest(self, route: Route, tried: Collection[Target]) -> Target | None:
        """Of those that are not fit, the one that is expected back first."""
        now = self.clock()
        left = [target for target in route.targets if target not in tried]
        return min(left, key=lambda target: self.back_at(target, now), default=None)

    def fit(self, target: Target, now: float) -> bool:
        """Whether it may be chosen: neither it nor its credential rests, and its breaker lets a request go."""
        return (target not in self.ailing or self.conditions[target].fit(now)) and (
            not self._refused or now >= self._refusal(target)[0]
        )

    def back_at(self, target: Target, now: float) -> float:
        """When it is expected to serve again, on `clock`; now at the earliest."""
        return max(self.conditions[target].back_at(now), self._refusal(target)[0])

    def breaker(self, target: Target) -> Breaker:
        """The target's breaker, for those who show it."""
        return self.conditions.get(target, _SOUND).breaker

    def standing(self, target: Target) -> tuple[str, str]:
        """One word for its state, and why: `closed`, `half_open`, `open`, `resting` or `low`."""
        now, condition = self.clock(), self.conditions.get(target, _SOUND)
        until, why = max(self._refusal(target), (condition.rests_until, condition.why_rests))
        if now < until:
            return "resting", f"{why}; rests for {until - now:.0f} s more"
        state = condition.breaker.state(now)
        if state == "open":
            wait = condition.breaker.until - now
            return state, f"{condition.breaker.failures} failures in a row; to be probed in {wait:.0f} s"
        if state == "half_open":
            return state, "failed of late; the next request probes it"
        if now < condition.low_until:
            return "low", f"near its rate limit for {condition.low_until - now:.0f} s more"
        return state, ""

    def answered(self, target: Target) -> None:
        """An answer has begun."""
        if target in self.ailing:
            self.conditions[target].breaker.answered()

    def whole(self, target: Target) -> None:
        """An answer came to its end, or the provider had a good reason to refuse: its credential is good, too."""
        if self._refused:
            self._refused.pop((target.provider, target.credential), None)
            self._pardon(self.clock())
        if target in self.ailing:
            condition = self.conditions[target]
            condition.breaker.whole()
            if condition.sound(self.clock()):
                self.ailing.discard(target)

    def probes(self, target: Target) -> bool:
        """A call is made. Is it its breaker's probe? Then that has to hear how it ends."""
        return target in self.ailing and self.conditions[target].breaker.begin(self.clock())

    def failed(self, target: Target, error: UpstreamError, *, probe: bool = False) -> None:
        """A call failed, before or after its first byte."""
        if isinstance(error, UpstreamRefused):
            self.whole(target)
            return
        self._observe(target, error)
        if isinstance(error, UpstreamAuthFailed):
            self._refuse(target, REFUSED_S, "its credential was refused")
        elif isinstance(error, UpstreamRateLimited) and error.code_said == "insufficient_quota":
            self._refuse(target, QUOTA_S, "its account has no quota left")
        elif isinstance(error, UpstreamRateLimited):
            self._rest(target, error.retry_after_s)
        else:
            self._ail(target).breaker.failed(self.clock(), probe=probe)

    def heard(self, target: Target, headers: Mapping[bytes, bytes]) -> None:
        """An answer's headers may say that little is left."""
        if seconds := low_for_s(headers, time()):
            self._ail(target).low_until = self.clock() + seconds

    def _well(self, tiers: Sequence[tuple[Way, ...]], tried: Collection[Target]) -> Iterator[Sequence[Way]]:
        """What is left of each tier, first those with enough headroom."""
        if self.calm and not tried:
            yield from tiers
            return
        now, kept = self.clock(), []
        self._pardon(now)
        for tier in tiers:
            fit = [way for way in tier if way.target not in tried and self.fit(way.target, now)]
            kept.append(fit)
            if easy := [way for way in fit if not self.low(way.target, now)]:
                yield easy
        yield from filter(None, kept)

    def low(self, target: Target, now: float) -> bool:
        """Whether its provider says that little is left before its rate limit."""
        return target in self.ailing and now < self.conditions[target].low_until

    def _rest(self, target: Target, wished_s: float | None) -> None:
        wait = min(max(REST_S if wished_s is None else wished_s, REST_LEAST_S), REST_MOST_S)
        condition = self._ail(target)
        condition.rests_until, condition.why_rests = self.clock() + wait, "it is at its rate limit"

    def _refuse(self, target: Target, seconds: float, why: str) -> None:
        """A credential is of no use for any model of its provider."""
        self._refused[target.provider, target.credential] = (self.clock() + seconds, why)

    def _pardon(self, now: float) -> None:
        """Forgets refusals whose time is over."""
        for credential in [credential for credential, (until, _) in self._refused.items() if now >= until]:
            del self._refused[credential]

    def _refusal(self, target: Target) -> tuple[float, str]:
        return self._refused.get((target.provider, target.credential), _NEVER)

    def _ail(self, target: Target) -> Condition:
        condition = self.conditions[target]
        self.ailing.add(target)
        return condition


_NEVER = (0.0, "")
_SOUND = Condition()
