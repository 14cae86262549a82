"""In an outage, calls are not repeated without end."""

from __future__ import annotations

from headgate.engine.failover import RetryBudget


def test_an_outage_costs_at_most_one_repeat_for_ten_requests() -> None:
    budget = RetryBudget(saved=10.0)
    repeats = 0
    for _ in range(10_000):
        budget.earn()
        repeats += budget.spend()
    assert 1_000 <= repeats <= 1_010


def test_what_was_saved_is_spent_at_once_and_no_more() -> None:
    budget = RetryBudget(saved=3.0)
    assert [budget.spend() for _ in range(5)] == [True, True, True, False, False]
