"""Metrics as Prometheus reads them, of one process and of several."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from headgate import __version__
from headgate.errors import UpstreamTimeout
from headgate.telemetry.metrics import Alone, Shared
from headgate.testing.gateway import running
from tests.telemetry.records import record
from tests.telemetry.waiting import until

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "metrics.md"


def samples(metrics: Alone) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    body, content_type = metrics.render()
    assert content_type.startswith("text/plain; version=")
    families = text_string_to_metric_families(body.decode())
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def value(metrics: Alone, name: str, **labels: str) -> float:
    return samples(metrics)[name, frozenset(labels.items())]


def test_a_request_shows_in_every_metric() -> None:
    metrics = Alone()
    metrics.observe(record())
    model = {"provider": "openai", "model": "gpt-4o-mini"}
    requests = {"route": "/v1/chat/completions", "status": "200"} | model
    assert value(metrics, "headgate_requests_total", **requests) == 1
    kinds = {"prompt": 100, "completion": 20, "cached": 5, "reasoning": 3}
    for kind, tokens in kinds.items():
        assert value(metrics, "headgate_tokens_total", kind=kind, **model) == tokens
    assert value(metrics, "headgate_cost_usd_total", **model) == 0.0015
    assert value(metrics, "headgate_requests_unpriced_total") == 0
    assert value(metrics, "headgate_first_token_seconds_sum", **model) == 0.0012
    assert value(metrics, "headgate_request_seconds_sum", **model) == 0.0015
    assert value(metrics, "headgate_request_seconds_bucket", le="0.005", **model) == 1
    assert value(metrics, "headgate_overhead_seconds_sum") == 0.0007
    assert value(metrics, "headgate_overhead_seconds_bucket", le="0.0005") == 0
    assert value(metrics, "headgate_overhead_seconds_bucket", le="0.00075") == 1
    assert value(metrics, "headgate_overhead_seconds_bucket", le="+Inf") == 1
    assert value(metrics, "headgate_build_info", version=__version__) == 1


def test_a_gauge_is_read_when_metrics_are_rendered() -> None:
    metrics = Alone()
    waiting = [7.0]
    metrics.gauge("headgate_journal_pending", "Lines on their way.", lambda: waiting[0])
    assert value(metrics, "headgate_journal_pending") == 7
    waiting[0] = 3
    assert value(metrics, "headgate_journal_pending") == 3


def test_spoiled_journal_lines_are_counted_by_their_fate() -> None:
    metrics = Alone()
    metrics.spoiled(lambda: {"lost": 1, "torn": 2})
    for _ in range(2):
        assert value(metrics, "headgate_journal_spoiled_total", fate="lost") == 1
        assert value(metrics, "headgate_journal_spoiled_total", fate="torn") == 2


def test_a_failed_call_that_another_one_followed_is_an_upstream_error() -> None:
    metrics = Alone()
    metrics.followed("anthropic", UpstreamTimeout.code)
    assert value(metrics, "headgate_upstream_errors_total", provider="anthropic", code="upstream_timeout") == 1


def test_odd_characters_in_labels_do_not_break_the_text() -> None:
    metrics = Alone()
    odd = 'a"b\\c\nd\u2028e'
    metrics.observe(record(model_served=odd))
    assert value(metrics, "headgate_cost_usd_total", provider="openai", model=odd) == 0.0015


def test_the_documentation_lists_every_metric_of_a_gateway_with_its_labels(tmp_path: Path) -> None:
    nobody = """
providers: {nobody: {kind: compatible, base_url: "http://127.0.0.1:9", key: sk-nobody}}
routes: {either: {targets: [nobody/at-home, echo/echo]}}
"""
    with running(tmp_path, settings=nobody) as gateway, httpx.Client(base_url=gateway.url) as client:
        client.headers["authorization"] = f"Bearer {gateway.key}"
        for model, status in (("echo", 200), ("nobody/at-home", 502)):
            body = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
            assert client.post("/v1/chat/completions", json=body).status_code == status
        shown = client.get("/metrics").text
    rows = re.findall(r"^\| `(headgate_\w+)` \| (\w+) \|([^|]*)\|", DOCUMENTATION.read_text(), re.M)
    written = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    assert written == {
        family.name + ("_total" if family.type == "counter" else ""): (
            family.type,
            {label for sample in family.samples for label in sample.labels} - {"le"},
        )
        for family in text_string_to_metric_families(shown)
    }


CHILD = """
import sys
from pathlib import Path
from headgate.telemetry.metrics import Shared
from tests.telemetry.records import record
from tests.telemetry.waiting import until

shared = Shared(Path(sys.argv[1]))
shared.gauge("headgate_journal_pending", "Lines on their way.", lambda: 10)
shared.spoiled(lambda: {"torn": 2})
for order in sys.stdin:
    match order.split():
        case ["observe", times]:
            for _ in range(int(times)):
                shared.observe(record())
        case ["render"]:
            lines = shared.render()[0].decode().splitlines()
            print(next((line.split()[-1] for line in lines if line.startswith("headgate_requests_total")), "none"))
            continue
        case ["close"]:
            shared.close()
    print("done")
    sys.stdout.flush()
"""


class Process:
    """Another process of the same home that does as it is told."""

    def __init__(self, home: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-u", "-c", CHILD, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )

    def tell(self, order: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(order + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def end(self, how: signal.Signals = signal.SIGKILL) -> None:
        self._process.send_signal(how)
        self._process.communicate()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Process]]:
    started: list[Process] = []

    def begin() -> Process:
        started.append(Process(tmp_path))
        return started[-1]

    yield begin
    for process in started:
        process.end()


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Shared]:
    metrics = Shared(tmp_path)
    yield metrics
    metrics.close()


def requests(metrics: Alone) -> float:
    return sum(count for (name, _), count in samples(metrics).items() if name == "headgate_requests_total")


def test_one_process_answers_for_all(shared: Shared, start: Callable[[], Process]) -> None:
    first, second = start(), start()
    first.tell("observe 3")
    second.tell("observe 4")
    shared.observe(record())
    assert float(first.tell("render")) == 3
    assert float(second.tell("render")) == 7
    assert requests(shared) == 8
    assert float(first.tell("render")) == 8
    assert value(shared, "headgate_journal_pending") == 20


def test_counts_of_a_killed_process_stay_and_its_gauges_go(shared: Shared, start: Callable[[], Process]) -> None:
    process = start()
    process.tell("observe 5")
    assert float(process.tell("render")) == 5
    assert value(shared, "headgate_journal_pending") == 10
    process.end(signal.SIGKILL)
    shared.observe(record())
    for _ in range(3):
        assert requests(shared) == 6
    assert value(shared, "headgate_journal_spoiled_total", fate="torn") == 2
    assert ("headgate_journal_pending", frozenset()) not in samples(shared)


def test_counts_go_on_when_every_process_was_restarted(tmp_path: Path, start: Callable[[], Process]) -> None:
    for _ in range(3):
        process = start()
        process.tell("observe 2")
        process.tell("close")
        process.end()
    metrics = Shared(tmp_path)
    assert requests(metrics) == 6
    metrics.close()


def test_a_process_with_the_number_of_a_dead_one_does_not_overwrite_its_counts(tmp_path: Path) -> None:
    for expected in (1, 2, 3):
        metrics = Shared(tmp_path)
        metrics.observe(record())
        assert requests(metrics) == expected
        metrics.close()


def test_a_crash_between_the_two_writes_of_a_fold_counts_nothing_twice(tmp_path: Path) -> None:
    own = tmp_path / "run" / f"metrics-{os.getpid()}.msgpack"
    metrics = Shared(tmp_path)
    metrics.observe(record())
    metrics.close()
    left = own.read_bytes()
    Shared(tmp_path).close()
    own.write_bytes(left)
    metrics = Shared(tmp_path)
    assert requests(metrics) == 1
    metrics.close()


def test_a_torn_file_is_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    metrics = Shared(tmp_path)
    (tmp_path / "run" / "metrics-999999999.msgpack").write_bytes(b"\x94\xa3ab")
    metrics.observe(record())
    assert requests(metrics) == 1
    assert "metrics-999999999.msgpack is left out" in caplog.text
    metrics.close()


async def test_numbers_are_written_every_second_unasked(tmp_path: Path, start: Callable[[], Process]) -> None:
    process = start()
    process.tell("observe 0")
    metrics = Shared(tmp_path, every_s=0.01)
    metrics.start()
    metrics.observe(record())
    await until(lambda: process.tell("render") == "1.0")
    metrics.close()


def test_a_disk_that_does_not_serve_is_said_once_and_requests_still_count(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    metrics = Shared(tmp_path)
    draft = tmp_path / "run" / f"metrics-{os.getpid()}.draft"
    draft.mkdir()
    metrics.observe(record())
    assert requests(metrics) == 1
    assert requests(metrics) == 1
    assert caplog.text.count("not shared") == 1
    draft.rmdir()
    assert requests(metrics) == 1
    assert caplog.text.count("shared between processes again") == 1
    metrics.close()


def test_a_disk_that_cannot_be_read_leaves_the_process_its_own_numbers(shared: Shared, tmp_path: Path) -> None:
    run, aside = tmp_path / "run", tmp_path / "aside"
    shared.observe(record())
    run.rename(aside)
    assert requests(shared) == 1
    aside.rename(run)
    shared.observe(record())
    assert requests(shared) == 2


def test_nobody_waits_for_a_process_that_holds_the_lock(
    shared: Shared, tmp_path: Path, start: Callable[[], Process], caplog: pytest.LogCaptureFixture
) -> None:
    start().tell("observe 3")
    shared.observe(record())
    with (tmp_path / "run" / "metrics-base.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert requests(shared) == 1, "nobody else's numbers are known yet"
    other = start()
    other.tell("observe 5")
    assert float(other.tell("render")) >= 5
    assert (total := requests(shared)) >= 6
    with (tmp_path / "run" / "metrics-base.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shared.observe(record())
        assert requests(shared) == total, "a counter never goes back"
    assert requests(shared) == total + 1
    assert not caplog.records
