"""The OpenTelemetry SDK behind one class; imported only where an OTLP endpoint is set, for it belongs to an extra.

Names are those of the OpenTelemetry semantic conventions for generative AI. No prompt and no answer is in them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import SpanKind, Status, StatusCode

from headgate import __version__
from headgate.telemetry.tally import error_class
from headgate.telemetry.traces import Address
from headgate.types import Record, Usage

TIMEOUT_S = 5.0
"""The longest that one export may take, its retries included."""

OPERATIONS = {"completions": "text_completion", "generate": "text_completion"} | dict.fromkeys(
    ("embeddings", "embed"), "embeddings"
)
"""The last segment of a route → `gen_ai.operation.name`; everything else is a chat."""

DURATION_BOUNDS_S = [0.01 * 2**power for power in range(14)]
TOKEN_BOUNDS = [4**power for power in range(14)]
FIRST_TOKEN_BOUNDS_S = [
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
]  # fmt: skip

Attributes = dict[str, str | int | bool]


class OtlpCollector:
    """An OTLP/HTTP collector at `endpoint`: `/v1/traces` and `/v1/metrics` below it."""

    def __init__(self, endpoint: str, servers: Mapping[str, Address]) -> None:
        self._servers = servers
        self._spans = _Finished()
        self._reader = InMemoryMetricReader()
        resource = Resource.create({"service.name": "headgate", "service.version": __version__})
        tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
        tracers.add_span_processor(self._spans)
        meters = MeterProvider([self._reader], resource=resource, shutdown_on_exit=False)
        self._tracer = tracers.get_tracer("headgate", __version__)
        self._meters = _Meters(meters)
        base = endpoint.rstrip("/")
        self._span_exporter = OTLPSpanExporter(f"{base}/v1/traces", timeout=TIMEOUT_S)
        self._metric_exporter = OTLPMetricExporter(f"{base}/v1/metrics", timeout=TIMEOUT_S)
        # The exporters log every retry of every batch; `Traces` says once what matters.
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)

    def send(self, records: list[Record]) -> str:
        """Exports spans and metrics of these requests; returns why that failed, or nothing."""
        for record in records:
            self._trace(record)
            if record.attempts:
                self._meters.observe(record, self._common(record))
        if self._span_exporter.export(self._spans.take()) is not SpanExportResult.SUCCESS:
            return "spans were not taken"
        measured = self._reader.get_metrics_data()
        if measured and self._metric_exporter.export(measured) is not MetricExportResult.SUCCESS:
            return "metrics were not taken"
        return ""

    def _trace(self, record: Record) -> None:
        start_ns = record.at_us * 1000
        span = self._tracer.start_span(
            f"{_operation(record)} {record.model_asked}".rstrip(),
            Context(),
            SpanKind.CLIENT,
            self._common(record) | _details(record),
            start_time=start_ns,
        )
        if record.error:
            span.set_status(Status(StatusCode.ERROR))
        span.end(start_ns + record.total_us * 1000)

    def _common(self, record: Record) -> Attributes:
        """Attributes that spans and metrics share."""
        common: Attributes = {
            "gen_ai.operation.name": _operation(record),
            "gen_ai.provider.name": record.provider,
            "gen_ai.request.model": record.model_asked,
            "gen_ai.response.model": record.model_served,
            "error.type": error_class(record.error) if record.error else "",
        }
        if record.provider in self._servers:
            common["server.address"], common["server.port"] = self._servers[record.provider]
        return {name: value for name, value in common.items() if value != ""}


class _Finished(SpanProcessor):
    """Holds spans that have ended until they are taken."""

    def __init__(self) -> None:
        self._spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self._spans.append(span)

    def take(self) -> list[ReadableSpan]:
        spans, self._spans = self._spans, []
        return spans


class _Meters:
    """The conventions' histograms."""

    def __init__(self, provider: MeterProvider) -> None:
        meter = provider.get_meter("headgate", __version__)
        self._duration = meter.create_histogram(
            "gen_ai.client.operation.duration",
            unit="s",
            description="GenAI operation duration.",
            explicit_bucket_boundaries_advisory=DURATION_BOUNDS_S,
        )
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=TOKEN_BOUNDS,
        )
        self._first_token = meter.create_histogram(
            "gen_ai.server.time_to_first_token",
            unit="s",
            description="Time to generate first token for successful responses.",
            explicit_bucket_boundaries_advisory=FIRST_TOKEN_BOUNDS_S,
        )

    def observe(self, record: Record, common: Attributes) -> None:
        self._duration.record(record.total_us / 1e6, common)
        if record.usage is not None:
            self._tokens.record(record.usage.prompt, common | {"gen_ai.token.type": "input"})
            self._tokens.record(record.usage.completion, common | {"gen_ai.token.type": "output"})
        if record.first_token_us is not None and not record.error:
            self._first_token.record(record.first_token_us / 1e6, common)


def _operation(record: Record) -> str:
    if record.route.endswith("/chat/completions"):
        return "chat"
    return OPERATIONS.get(record.route.rpartition("/")[2], "chat")


def _details(record: Record) -> Attributes:
    """Attributes that only spans have."""
    details: Attributes = {
        "gen_ai.request.stream": record.stream,
        "http.route": record.route,
        "http.response.status_code": record.status,
        "headgate.request_id": record.request_id,
        "headgate.attempts": record.attempts,
    }
    if record.session:
        details["gen_ai.conversation.id"] = record.session
    if record.usage is not None:
        details |= _tokens(record.usage)
    return details


def _tokens(usage: Usage) -> Attributes:
    return {
        "gen_ai.usage.input_tokens": usage.prompt,
        "gen_ai.usage.output_tokens": usage.completion,
        "gen_ai.usage.cache_read.input_tokens": usage.cached,
        "gen_ai.usage.cache_creation.input_tokens": usage.cache_written,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning,
    }
