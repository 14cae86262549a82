"""The text that Prometheus reads: a tally and some gauges as metric families."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from headgate import __version__
from headgate.telemetry.tally import OVERHEAD_BOUNDS_US, REQUEST_BOUNDS_US, Buckets, Tally


class Gauge(msgspec.Struct, array_like=True):
    """Numbers that go up and down, read when they are asked for: one for each set of labels."""

    meaning: str
    values: dict[tuple[str, ...], float]
    labels: tuple[str, ...] = ()


def exposition(tally: Tally, gauges: Mapping[str, Gauge]) -> tuple[bytes, str]:
    """The text of all metrics and its content type."""
    return generate_latest(_Reading(tally, gauges)), CONTENT_TYPE_LATEST


class _Reading(Collector):
    def __init__(self, tally: Tally, gauges: Mapping[str, Gauge]) -> None:
        self._tally = tally
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        yield self._requests()
        yield self._tokens()
        yield self._cost()
        yield CounterMetricFamily(
            "headgate_requests_unpriced", "Requests that used tokens at no known price.", value=self._tally.unpriced
        )
        yield CounterMetricFamily(
            "headgate_cache_hits", "Requests that were answered with what was kept.", value=self._tally.cache_hits
        )
        yield CounterMetricFamily(
            "headgate_cache_misses", "Requests for which nothing was kept.", value=self._tally.cache_misses
        )
        yield self._upstream_errors()
        yield self._spoiled()
        yield self._target_failures()
        yield from self._durations()
        for name, gauge in self._gauges.items():
            family = GaugeMetricFamily(name, gauge.meaning, labels=gauge.labels)
            for labels, value in gauge.values.items():
                family.add_metric(labels, value)
            yield family
        build = GaugeMetricFamily("headgate_build_info", "1 for the running version.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build

    def _requests(self) -> Metric:
        family = CounterMetricFamily(
            "headgate_requests", "Finished requests.", labels=["route", "provider", "model", "status"]
        )
        for (route, provider, model, status), count in self._tally.requests.items():
            family.add_metric([route, provider, model, str(status) if status >= 0 else "other"], count)
        return family

    def _tokens(self) -> Metric:
        family = CounterMetricFamily(
            "headgate_tokens", "Tokens, as providers count them.", labels=["provider", "model", "kind"]
        )
        for (provider, model), served in self._tally.served.items():
            for kind in ("prompt", "completion", "cached", "reasoning"):
                family.add_metric([provider, model, kind], getattr(served, kind))
        return family

    def _cost(self) -> Metric:
        family = CounterMetricFamily("headgate_cost_usd", "Known cost in US dollars.", labels=["provider", "model"])
        for labels, served in self._tally.served.items():
            family.add_metric(labels, served.cost_nano / 1e9)
        return family

    def _upstream_errors(self) -> Metric:
        family = CounterMetricFamily(
            "headgate_upstream_errors", "Failed calls to providers.", labels=["provider", "code"]
        )
        for labels, count in self._tally.upstream_errors.items():
            family.add_metric(labels, count)
        return family

    def _spoiled(self) -> Metric:
        family = CounterMetricFamily(
            "headgate_journal_spoiled", "Journal lines that became no row of usage.", labels=["fate"]
        )
        for fate, count in self._tally.spoiled.items():
            family.add_metric([fate], count)
        return family

    def _target_failures(self) -> Metric:
        labels = ["provider", "model", "credential"]
        family = CounterMetricFamily("headgate_target_failures", "Failed calls, by target.", labels=labels)
        for target, count in self._tally.target_failures.items():
            family.add_metric(target, count)
        return family

    def _durations(self) -> Iterable[Metric]:
        served = self._tally.served.items()
        first_token = _histogram("headgate_first_token_seconds", "Time to the first token.", "provider", "model")
        request = _histogram("headgate_request_seconds", "Time to the last byte.", "provider", "model")
        overhead = _histogram("headgate_overhead_seconds", "The gateway's own time, upstream excluded.")
        for labels, one in served:
            _add(first_token, labels, REQUEST_BOUNDS_US, one.first_token)
            _add(request, labels, REQUEST_BOUNDS_US, one.request)
        _add(overhead, (), OVERHEAD_BOUNDS_US, self._tally.overhead)
        return first_token, request, overhead


def _histogram(name: str, documentation: str, *labels: str) -> HistogramMetricFamily:
    return HistogramMetricFamily(name, documentation, labels=labels)


def _add(family: HistogramMetricFamily, labels: tuple[str, ...], bounds: tuple[int, ...], spread: Buckets) -> None:
    rows, total = [], 0
    for bound, count in zip((*(f"{us / 1e6:g}" for us in bounds), "+Inf"), spread.counts, strict=True):
        total += count
        rows.append((bound, total))
    family.add_metric(labels, rows, spread.sum_us / 1e6)
