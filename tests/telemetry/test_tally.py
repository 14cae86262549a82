"""What is counted about a finished request."""

from __future__ import annotations

from timeit import repeat

import pytest

from headgate.errors import (
    BadRequest,
    DeadlinePassed,
    InternalError,
    ModelNotFound,
    UpstreamRateLimited,
    UpstreamTimeout,
)
from headgate.telemetry.tally import LABEL_SETS, Tally
from headgate.types import Usage
from tests.telemetry.records import PLAIN, record


def test_two_tallies_add_up_to_what_one_would_have_counted() -> None:
    records = [
        record(),
        record(status=502, error=UpstreamTimeout.code, usage=None, first_token_us=None),
        record(provider="anthropic", model_served="claude", usage=Usage(prompt=7)),
    ]
    first, second, whole = Tally(), Tally(), Tally()
    for one in records:
        first.observe(one)
        second.observe(one)
        whole.observe(one)
        whole.observe(one)
    for tally in (first, second, whole, whole):
        tally.target_failed("openai", "gpt-4o", "blue")
    for hit in (True, False, True):
        first.recalled(hit)
        second.recalled(not hit)
        whole.recalled(hit)
        whole.recalled(not hit)
    first.add(second)
    assert first == whole
    assert (whole.cache_hits, whole.cache_misses) == (3, 3)


def test_a_model_gets_a_label_only_once_it_has_served() -> None:
    tally = Tally()
    tally.observe(record(status=404, model_served="made-up-by-a-caller"))
    tally.observe(record(status=200))
    tally.observe(record(status=502))
    assert set(tally.requests) == {
        (PLAIN.route, "openai", "other", 404),
        (PLAIN.route, "openai", "gpt-4o-mini", 200),
        (PLAIN.route, "openai", "gpt-4o-mini", 502),
    }


def test_label_sets_are_bounded_and_nothing_is_lost() -> None:
    tally = Tally()
    for number in range(LABEL_SETS + 500):
        tally.observe(record(model_served=f"m{number}", route=f"/r{number}"))
        tally.upstream_failed(f"p{number}", UpstreamTimeout.code)
        tally.target_failed(f"p{number}", "m", "default")
    assert len(tally.requests) == len(tally.served) == len(tally.upstream_errors) == LABEL_SETS
    assert len(tally.target_failures) == LABEL_SETS
    assert sum(tally.target_failures.values()) == LABEL_SETS + 500
    assert sum(tally.requests.values()) == sum(tally.upstream_errors.values()) == LABEL_SETS + 500
    assert sum(served.prompt for served in tally.served.values()) == 100 * (LABEL_SETS + 500)


def test_bounds_hold_when_tallies_are_added() -> None:
    tally = Tally()
    for process in range(3):
        other = Tally()
        for number in range(LABEL_SETS - 1):
            other.observe(record(model_served=f"p{process}-m{number}"))
            other.target_failed("p", f"p{process}-m{number}", "default")
        tally.add(other)
    assert len(tally.served) == len(tally.requests) == LABEL_SETS
    assert len(tally.target_failures) == LABEL_SETS
    assert sum(tally.target_failures.values()) == 3 * (LABEL_SETS - 1)
    assert sum(tally.requests.values()) == 3 * (LABEL_SETS - 1)


def test_tokens_without_a_price_are_counted_as_unpriced_and_never_as_free() -> None:
    tally = Tally()
    tally.observe(record(usage=Usage(prompt=1)))
    tally.observe(record(usage=Usage(prompt=1, cost_nano=0)))
    tally.observe(record(usage=None))
    assert tally.unpriced == 1


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"error": UpstreamTimeout.code, "status": 504}, {("openai", "upstream_timeout"): 1}),
        ({"error": UpstreamRateLimited.code, "status": 429}, {("openai", "rate_limit_exceeded"): 1}),
        ({"error": "words of the provider", "status": 400}, {("openai", "upstream_refused"): 1}),
        ({"error": ModelNotFound.code, "status": 404}, {("openai", "model_not_found"): 1}),
        ({"error": InternalError.code, "status": 500}, {}),
        ({"error": BadRequest.code, "status": 400}, {}),
        ({"error": DeadlinePassed.code, "status": 504}, {}),
        ({"error": UpstreamTimeout.code, "status": 504, "attempts": 0}, {}),
        ({"error": "client_left", "status": 499}, {}),
        ({}, {}),
    ],
)
def test_only_a_provider_s_failures_are_its_errors(
    changes: dict[str, object], expected: dict[tuple[str, str], int]
) -> None:
    tally = Tally()
    tally.observe(record(**changes))
    assert tally.upstream_errors == expected


def test_durations_fall_into_the_bucket_that_holds_them() -> None:
    tally = Tally()
    tally.observe(record(total_us=5_000, upstream_us=4_950))
    tally.observe(record(total_us=5_001, upstream_us=0))
    tally.observe(record(total_us=10**10, upstream_us=10**11))
    request = tally.served["openai", "gpt-4o-mini"].request
    assert (request.counts[0], request.counts[1], request.counts[-1]) == (1, 1, 1)
    assert request.sum_us == 10_001 + 10**10
    assert tally.overhead.counts[0] == 2, "an overhead below zero counts as none"


def test_counting_is_cheap() -> None:
    tally = Tally()
    best_s = min(repeat(lambda: tally.observe(PLAIN), number=2_000, repeat=10)) / 2_000
    assert best_s < 15e-6, "3 µs is the aim; five times that on a busy machine is a fault"
