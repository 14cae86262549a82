"""When a breaker opens, when it lets a probe through, and what closes it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headgate.routing.breaker import FAILURES, OPEN_MAX_S, OPEN_S, PROBE_S, Breaker


def opened(at: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES):
        breaker.failed(at)
    return breaker


def test_it_opens_with_the_fifth_failure_in_a_row() -> None:
    breaker = Breaker()
    for _ in range(4):
        breaker.failed(0.0)
        assert breaker.state(0.0) == "closed"
    breaker.failed(0.0)
    assert breaker.state(0.0) == "open"
    assert not breaker.admits(0.0)


def test_a_whole_answer_begins_the_row_anew() -> None:
    breaker = Breaker()
    for _ in range(100):
        breaker.failed(0.0)
        breaker.whole()
    assert breaker.state(0.0) == "closed"


def test_it_is_probed_on_time_by_one_request() -> None:
    breaker = opened()
    assert not breaker.admits(OPEN_S - 0.001)
    assert breaker.state(OPEN_S) == "half_open"
    assert breaker.admits(OPEN_S)
    assert breaker.begin(OPEN_S)
    assert not breaker.admits(OPEN_S + 1)
    assert not breaker.begin(OPEN_S + 1)


def test_a_probe_that_is_answered_closes_it_on_trial() -> None:
    breaker = opened()
    breaker.begin(OPEN_S)
    breaker.answered()
    assert breaker.admits(OPEN_S)
    breaker.failed(OPEN_S + 1)
    assert breaker.state(OPEN_S + 1) == "open", "the answer broke off: one failure is enough"


def test_a_probe_that_came_to_its_end_is_the_end_of_it() -> None:
    breaker = opened()
    breaker.begin(OPEN_S)
    breaker.answered()
    breaker.whole()
    breaker.failed(OPEN_S + 1)
    assert breaker.state(OPEN_S + 1) == "closed"


def test_each_probe_that_fails_doubles_the_wait_up_to_its_bound() -> None:
    breaker, now, waits = opened(), 0.0, []
    for _ in range(8):
        waits.append(breaker.until - now)
        now = breaker.until
        assert breaker.begin(now)
        breaker.failed(now, probe=True)
    assert waits == [5, 10, 20, 40, 60, 60, 60, 60]
    assert waits[0] == OPEN_S
    assert waits[-1] == OPEN_MAX_S


def test_a_probe_whose_caller_left_lets_another_go() -> None:
    breaker = opened()
    breaker.begin(OPEN_S)
    breaker.left()
    assert breaker.admits(OPEN_S)


def test_a_probe_that_never_ends_is_not_waited_for() -> None:
    breaker = opened()
    breaker.begin(OPEN_S)
    assert not breaker.admits(OPEN_S + PROBE_S - 1)
    assert breaker.admits(OPEN_S + PROBE_S)


def test_failures_while_it_is_open_do_not_prolong_it() -> None:
    breaker = opened()
    for _ in range(50):
        breaker.failed(OPEN_S - 1)
    assert breaker.state(OPEN_S) == "half_open"


def test_late_failures_of_requests_from_before_it_opened_are_no_probes() -> None:
    breaker = opened()
    breaker.failed(OPEN_S)
    assert breaker.state(OPEN_S) == "half_open"
    assert breaker.begin(OPEN_S)
    breaker.failed(OPEN_S + 1)
    assert not breaker.admits(OPEN_S + 1), "its probe is still on its way"
    breaker.failed(OPEN_S + 2, probe=True)
    assert breaker.until == OPEN_S + 2 + 2 * OPEN_S


@given(
    st.lists(
        st.tuples(st.sampled_from(["fail", "fail_probe", "answer", "whole", "begin", "left"]), st.floats(0, 20)),
        max_size=60,
    )
)
def test_whatever_happens_it_is_probed_again_within_its_bounds(events: list[tuple[str, float]]) -> None:
    breaker, now = Breaker(), 0.0
    for event, later in events:
        now += later
        match event:
            case "fail":
                breaker.failed(now)
            case "fail_probe":
                breaker.failed(now, probe=True)
            case "answer":
                breaker.answered()
            case "whole":
                breaker.whole()
            case "begin":
                breaker.begin(now)
            case _:
                breaker.left()
    assert breaker.admits(now + OPEN_MAX_S + PROBE_S)
