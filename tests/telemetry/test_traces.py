"""Traces, as a small real OTLP/HTTP collector receives them."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from threading import Event, Thread
from timeit import repeat
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from headgate.telemetry.otlp import OtlpCollector
from headgate.telemetry.traces import PENDING_LIMIT, NoTraces, Traces, traces
from headgate.types import Record, Usage
from tests.telemetry.records import PLAIN, record

SERVERS = {"openai": ("api.openai.com", 443)}


class Receiver:
    """A collector on a real socket that keeps what it decoded."""

    def __init__(self) -> None:
        self.spans: Queue[Span] = Queue()
        self.metrics: Queue[Any] = Queue()
        receiver = self

        class Endpoint(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.take(self.path, self.rfile.read(int(self.headers["content-length"])))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def take(self, path: str, body: bytes) -> None:
        if path == "/v1/traces":
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        self.spans.put(span)
        elif path == "/v1/metrics":
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                for scope in resource.scope_metrics:
                    self.metrics.put({metric.name: metric for metric in scope.metrics})

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def facts(attributes: Any) -> dict[str, object]:
    def plain(one: KeyValue) -> object:
        return getattr(one.value, one.value.WhichOneof("value") or "string_value")

    return {one.key: plain(one) for one in attributes}


def sent(receiver: Receiver, *records: Record) -> list[Span]:
    through = traces(receiver.endpoint, SERVERS)
    for one in records:
        through.observe(one)
    through.close()
    assert through.dropped == 0
    return [receiver.spans.get(timeout=5) for _ in records]


def test_a_request_is_a_span_with_the_conventions_names(receiver: Receiver) -> None:
    (span,) = sent(receiver, record(stream=True, session="s1", usage=Usage(100, 20, 5, 2, 3)))
    assert span.name == "chat small"
    assert span.kind == Span.SPAN_KIND_CLIENT
    assert span.start_time_unix_nano == PLAIN.at_us * 1000
    assert span.end_time_unix_nano - span.start_time_unix_nano == 1_500_000
    assert span.status.code == Status.STATUS_CODE_UNSET
    assert facts(span.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "small",
        "gen_ai.response.model": "gpt-4o-mini",
        "gen_ai.request.stream": True,
        "gen_ai.conversation.id": "s1",
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 5,
        "gen_ai.usage.cache_creation.input_tokens": 2,
        "gen_ai.usage.reasoning.output_tokens": 3,
        "server.address": "api.openai.com",
        "server.port": 443,
        "http.route": "/v1/chat/completions",
        "http.response.status_code": 200,
        "headgate.request_id": "req-1",
        "headgate.attempts": 1,
    }


@pytest.mark.parametrize(
    ("route", "operation"),
    [
        ("/v1/completions", "text_completion"),
        ("/api/v1/embeddings", "embeddings"),
        ("/v1/messages", "chat"),
        ("/api/v1/chat/completions", "chat"),
        ("/api/embed", "embeddings"),
        ("/api/generate", "text_completion"),
    ],
)
def test_the_operation_follows_the_route(receiver: Receiver, route: str, operation: str) -> None:
    (span,) = sent(receiver, record(route=route))
    assert span.name == f"{operation} small"


def test_a_failure_is_an_error_of_few_kinds(receiver: Receiver) -> None:
    known, foreign = sent(receiver, record(error="upstream_timeout"), record(error="words with sk-secrets"))
    assert known.status.code == foreign.status.code == Status.STATUS_CODE_ERROR
    assert facts(known.attributes)["error.type"] == "upstream_timeout"
    assert facts(foreign.attributes)["error.type"] == "upstream_refused"
    assert known.trace_id != foreign.trace_id


def test_metrics_have_the_conventions_names_and_units(receiver: Receiver) -> None:
    sent(receiver, record(), record(attempts=0, provider="", status=404, usage=None))
    metrics = receiver.metrics.get(timeout=5)
    assert {name: metric.unit for name, metric in metrics.items()} == {
        "gen_ai.client.operation.duration": "s",
        "gen_ai.client.token.usage": "{token}",
        "gen_ai.server.time_to_first_token": "s",
    }
    (duration,) = metrics["gen_ai.client.operation.duration"].histogram.data_points
    assert (duration.count, duration.sum) == (1, 0.0015), "a request that reached no provider is no operation"
    tokens = metrics["gen_ai.client.token.usage"].histogram.data_points
    assert {facts(point.attributes)["gen_ai.token.type"]: point.sum for point in tokens} == {"input": 100, "output": 20}
    (first,) = metrics["gen_ai.server.time_to_first_token"].histogram.data_points
    assert first.sum == 0.0012
    assert facts(first.attributes)["gen_ai.provider.name"] == "openai"


class Away:
    """A collector that fails until it is told to come back."""

    def __init__(self) -> None:
        self.back = False
        self.tried = Queue[int]()

    def send(self, records: list[Record]) -> str:
        self.tried.put(len(records))
        return "" if self.back else "away"


def test_a_collector_that_is_away_is_said_once_and_its_return_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    away = Away()
    through = Traces(away, every_s=0.001)
    for _ in range(3):
        through.observe(record())
        away.tried.get(timeout=5)
    away.back = True
    through.observe(record())
    away.tried.get(timeout=5)
    through.close()
    assert caplog.text.count("cannot be reached") == 1
    assert caplog.text.count("is reached again") == 1
    assert through.dropped == 3


def test_nobody_at_the_endpoint_is_a_failure_in_a_few_words_and_no_library_s_noise(
    receiver: Receiver, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headgate.telemetry.otlp.TIMEOUT_S", 0.2)
    receiver.server.server_close()
    assert OtlpCollector(receiver.endpoint, SERVERS).send([record()]) == "spans were not taken"
    assert caplog.text == ""


def test_a_collector_that_hangs_holds_up_nothing_and_memory_is_bounded() -> None:
    hung, taken = Event(), Event()

    class Hung:
        def send(self, records: list[Record]) -> str:
            taken.set()
            hung.wait(10)
            return ""

    through = Traces(Hung(), every_s=0.001)
    through.observe(PLAIN)
    assert taken.wait(5)
    for _ in range(PENDING_LIMIT + 7):
        through.observe(PLAIN)
    assert through.dropped == 7
    through.close(timeout_s=0.01)
    hung.set()


def test_taking_a_record_is_cheap() -> None:
    through = Traces(Away(), every_s=60)
    best_s = min(repeat(lambda: through.observe(PLAIN), number=500, repeat=10)) / 500
    through.close()
    assert best_s < 5e-6, "1 µs is the aim; five times that on a busy machine is a fault"


def test_no_endpoint_is_no_traces() -> None:
    assert type(traces(None, {})) is NoTraces
    assert type(traces("", {})) is NoTraces


def run(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


def test_nothing_of_opentelemetry_is_loaded_without_an_endpoint() -> None:
    program = (
        "import sys\nfrom headgate.telemetry.traces import traces\ntraces(None, {}).close()\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    assert run(program) == "[]"


def test_an_endpoint_without_the_extra_says_what_to_install() -> None:
    program = (
        "import sys\nsys.modules['opentelemetry'] = None\n"
        "from headgate.errors import ConfigError\nfrom headgate.telemetry.traces import traces\n"
        "try:\n    traces('http://127.0.0.1:1', {})\nexcept ConfigError as error:\n    print(error)"
    )
    assert "pip install headgate[otel]" in run(program)
