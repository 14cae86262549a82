"""How much to reason, in words as OpenAI says it and in tokens as Anthropic said it: one table, both ways."""

from __future__ import annotations

from collections.abc import Sequence

BUDGETS = {"minimal": 1_024, "low": 2_048, "medium": 8_192, "high": 16_384, "xhigh": 24_576, "max": 27_648}
"""Reasoning tokens for each effort. The smallest is Anthropic's least; the largest leaves 4,096 tokens for the answer
within 32,000, the smallest output limit of a model that takes a budget."""


def budget_of(effort: str) -> int | None:
    """Reasoning tokens for an effort: 0 for `none`, None for a word that nobody defined."""
    return 0 if effort == "none" else BUDGETS.get(effort)


def effort_of(budget: int, known: Sequence[str] = ("low", "medium", "high")) -> str:
    """The least of the `known` efforts, in rising order, that covers a positive budget; else the greatest of them.

    Every model that reasons knows the default three.
    """
    return next((effort for effort in known if budget <= BUDGETS[effort]), known[-1])
