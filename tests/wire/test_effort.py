from __future__ import annotations

import pytest

from headgate.wire import effort


@pytest.mark.parametrize("word", effort.BUDGETS)
def test_a_budget_leads_back_to_its_effort(word: str) -> None:
    budget = effort.budget_of(word)
    assert budget
    assert effort.effort_of(budget, list(effort.BUDGETS)) == word
    assert effort.effort_of(budget) == {"minimal": "low", "xhigh": "high", "max": "high"}.get(word, word)


def test_no_effort_is_no_budget_and_an_unknown_word_is_unknown() -> None:
    assert effort.budget_of("none") == 0
    assert effort.budget_of("heroic") is None


def test_budgets_rise_from_what_anthropic_takes_to_what_leaves_room_for_an_answer() -> None:
    budgets = list(effort.BUDGETS.values())
    assert budgets == sorted(budgets)
    assert budgets[0] == 1024
    assert budgets[-1] + 4096 < 32_000
