"""The numbers behind the metrics: plain integers that add up, in one process and over many."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from headgate.errors import HeadgateError, ModelNotFound, UpstreamError, UpstreamRefused
from headgate.types import Record

LABEL_SETS = 1000
"""The most label sets that one metric may have; what comes later is counted as `other`."""
OTHER = "other"

REQUEST_BOUNDS_US = (
    5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000, 120_000_000, 300_000_000,
)  # fmt: skip
OVERHEAD_BOUNDS_US = (
    50, 100, 200, 300, 500, 750, 1_000, 2_000, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 1_000_000,
)  # fmt: skip


class Buckets(msgspec.Struct, array_like=True):
    """A histogram of microseconds: one count a bucket, the last one for everything above the bounds."""

    counts: list[int]
    sum_us: int = 0

    def add(self, other: Buckets) -> None:
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        self.sum_us += other.sum_us


def buckets(bounds: tuple[int, ...]) -> Buckets:
    """An empty histogram for these upper bounds."""
    return Buckets([0] * (len(bounds) + 1))


class Served(msgspec.Struct, array_like=True):
    """What one model of one provider did."""

    model: str
    """The label: the model's name, or `other`."""
    prompt: int = 0
    completion: int = 0
    cached: int = 0
    reasoning: int = 0
    cost_nano: int = 0
    first_token: Buckets = msgspec.field(default_factory=lambda: buckets(REQUEST_BOUNDS_US))
    request: Buckets = msgspec.field(default_factory=lambda: buckets(REQUEST_BOUNDS_US))

    def add(self, other: Served) -> None:
        self.prompt += other.prompt
        self.completion += other.completion
        self.cached += other.cached
        self.reasoning += other.reasoning
        self.cost_nano += other.cost_nano
        self.first_token.add(other.first_token)
        self.request.add(other.request)


RequestLabels = tuple[str, str, str, int]
"""route, provider, model, status"""
OTHER_REQUESTS: RequestLabels = (OTHER, OTHER, OTHER, -1)
OTHER_TARGETS = (OTHER, OTHER, OTHER)
REST = (OTHER, OTHER)


class Tally(msgspec.Struct, array_like=True):
    """Everything that is counted about finished requests."""

    requests: dict[RequestLabels, int] = {}
    served: dict[tuple[str, str], Served] = {}
    """By provider and model."""
    upstream_errors: dict[tuple[str, str], int] = {}
    """By provider and error code."""
    unpriced: int = 0
    overhead: Buckets = msgspec.field(default_factory=lambda: buckets(OVERHEAD_BOUNDS_US))
    spoiled: dict[str, int] = {}
    """Journal lines that became no row, by what happened to them."""
    target_failures: dict[tuple[str, str, str], int] = {}
    """By provider, model and credential."""
    cache_hits: int = 0
    cache_misses: int = 0

    def observe(self, record: Record) -> None:
        """Counts a finished request."""
        provider = record.provider
        served = self.served.get((provider, record.model_served)) or self._unknown(record)
        labels = (record.route, provider, served.model, record.status)
        _count(self.requests, labels, OTHER_REQUESTS)
        _spread(served.request, REQUEST_BOUNDS_US, record.total_us)
        _spread(self.overhead, OVERHEAD_BOUNDS_US, max(record.total_us - record.upstream_us, 0))
        if record.first_token_us is not None:
            _spread(served.first_token, REQUEST_BOUNDS_US, record.first_token_us)
        if record.usage is not None:
            self._count_usage(served, record)
        if record.error not in _OURS and record.attempts and record.status != 499:
            self.upstream_failed(provider, record.error)

    def _count_usage(self, served: Served, record: Record) -> None:
        usage = record.usage
        assert usage is not None
        served.prompt += usage.prompt
        served.completion += usage.completion
        served.cached += usage.cached
        served.reasoning += usage.reasoning
        if usage.cost_nano is None:
            self.unpriced += 1
        else:
            served.cost_nano += usage.cost_nano

    def _unknown(self, record: Record) -> Served:
        """The place of a model that was not seen before: its own once it has served, until then that of all others."""
        named = 200 <= record.status < 400 or not record.model_served
        labels = (record.provider, record.model_served if named else OTHER)
        labels = _room(self.served, labels, REST)
        return self.served.setdefault(labels, Served(labels[1]))

    def upstream_failed(self, provider: str, code: str) -> None:
        """Counts a failure of a provider. `code` is the error's; words of the provider's own count as a refusal."""
        _count(self.upstream_errors, (provider, error_class(code)), REST)

    def target_failed(self, provider: str, model: str, credential: str) -> None:
        """Counts a failed call to a target."""
        _count(self.target_failures, (provider, model, credential), OTHER_TARGETS)

    def recalled(self, hit: bool) -> None:
        """Counts a look at what is kept."""
        self.cache_hits += hit
        self.cache_misses += not hit

    def add(self, other: Tally) -> None:
        """Adds another process's numbers to these."""
        for target, count in other.target_failures.items():
            _count(self.target_failures, target, OTHER_TARGETS, count)
        for labels, count in other.requests.items():
            _count(self.requests, labels, OTHER_REQUESTS, count)
        for failure, count in other.upstream_errors.items():
            _count(self.upstream_errors, failure, REST, count)
        for key, served in other.served.items():
            key = _room(self.served, key, REST)
            self.served.setdefault(key, Served(key[1])).add(served)
        self.unpriced += other.unpriced
        self.overhead.add(other.overhead)
        for fate, count in other.spoiled.items():
            self.spoiled[fate] = self.spoiled.get(fate, 0) + count
        self.cache_hits += other.cache_hits
        self.cache_misses += other.cache_misses


Labels = TypeVar("Labels", bound=tuple[str | int, ...])


def _room(taken: Mapping[Labels, object], labels: Labels, rest: Labels) -> Labels:
    """These labels while there is room for them, else those of the rest."""
    return labels if labels in taken or len(taken) < LABEL_SETS - 1 else rest


def _count(counts: dict[Labels, int], labels: Labels, rest: Labels, more: int = 1) -> None:
    if labels not in counts:
        labels = _room(counts, labels, rest)
    counts[labels] = counts.get(labels, 0) + more


def _spread(into: Buckets, bounds: tuple[int, ...], us: int) -> None:
    into.counts[bisect_left(bounds, us)] += 1
    into.sum_us += us


def _codes(family: type[HeadgateError]) -> set[str]:
    return {family.code}.union(*(_codes(member) for member in family.__subclasses__()))


_THEIRS = frozenset(_codes(UpstreamError) | {"insufficient_quota", ModelNotFound.code})
"""What a provider's failure is called, a model that it does not have among it."""
_KNOWN = _THEIRS | _codes(HeadgateError)
_OURS = (_KNOWN - _THEIRS) | {""}


def error_class(code: str) -> str:
    """An error's code where it is one of our own; a provider's own words for a refusal are all one class."""
    return code if code in _KNOWN else UpstreamRefused.code
