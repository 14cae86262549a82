"""Traces of finished requests, sent to an OpenTelemetry collector in batches and off the road."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from threading import Event, Thread
from typing import Protocol

from headgate.errors import ConfigError
from headgate.types import Record

PENDING_LIMIT = 20_000
"""Records that may wait for a collector that is slow or away."""
BATCH = 512

Address = tuple[str, int]
"""Host and port of a provider's server."""

_log = logging.getLogger(__name__)


class Collector(Protocol):
    """Where batches go."""

    def send(self, records: list[Record]) -> str:
        """Sends one batch, in seconds at most; returns why that failed, or nothing."""
        ...


class NoTraces:
    """Traces where no collector is set."""

    @property
    def dropped(self) -> int:
        """Records that no collector took."""
        return 0

    def observe(self, record: Record) -> None:
        """Takes a finished request."""

    def close(self) -> None:
        """Sends what waits."""


class Traces(NoTraces):
    """Hands finished requests to a collector from a thread of its own; a collector that is away costs only its data."""

    def __init__(self, collector: Collector, every_s: float = 1.0) -> None:
        self._collector = collector
        self._records: list[Record] = []
        self._every_s = every_s
        self._overflowed = 0
        self._unsent = 0
        self._reached = True
        self._closing = Event()
        self._thread = Thread(target=self._run, name="traces", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        return self._overflowed + self._unsent

    def observe(self, record: Record) -> None:
        if len(self._records) < PENDING_LIMIT:
            self._records.append(record)
        else:
            self._overflowed += 1

    def close(self, timeout_s: float = 2.0) -> None:
        """Sends what waits, for as long as `timeout_s`."""
        self._closing.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._closing.wait(self._every_s):
            self._send_waiting()
        self._send_waiting()

    def _send_waiting(self) -> None:
        while self._records:
            batch = self._records[:BATCH]
            del self._records[:BATCH]
            failure = self._collector.send(batch)
            if failure:
                self._unsent += len(batch)
            self._say(failure)

    def _say(self, failure: str) -> None:
        if failure and self._reached:
            _log.warning("traces are dropped while their collector cannot be reached: %s", failure)
        elif not failure and not self._reached:
            _log.info("the collector of traces is reached again; %d requests were left out", self.dropped)
        self._reached = not failure


def traces(endpoint: str | None, servers: Mapping[str, Address]) -> NoTraces:
    """Traces for an OTLP/HTTP endpoint (a base URL), or none. `servers` says where each provider's server is.

    Raises `ConfigError` where an endpoint is set and the extra `otel` is not installed.
    """
    if not endpoint:
        return NoTraces()
    try:
        from headgate.telemetry.otlp import OtlpCollector
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("opentelemetry"):
            raise
        raise ConfigError(f"an OTLP endpoint is set ({endpoint}): pip install headgate[otel]") from None
    return Traces(OtlpCollector(endpoint, servers))
