"""Token counts as OpenAI and those who imitate it write them: read into `Usage`, and written out of it."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from headgate.types import Usage

Count = int | float | None
COUNT_MAX = 2**40
"""Tokens of one request that are believed: a million such rows still add up in 64 bits."""
COST_MAX = 1_000_000
"""US dollars for one request that are believed."""


class _PromptDetails(msgspec.Struct):
    cached_tokens: Count = None
    cache_write_tokens: Count = None


class _CompletionDetails(msgspec.Struct):
    reasoning_tokens: Count = None


class _UsageSeen(msgspec.Struct):
    prompt_tokens: Count = None
    completion_tokens: Count = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None
    prompt_cache_hit_tokens: Count = None
    cost: Decimal | None = None


_usage = msgspec.json.Decoder(_UsageSeen).decode


def read_usage(usage: msgspec.Raw | bytes) -> Usage | None:
    """Reads a usage object as OpenAI and those who imitate it write it; None for `null` and for junk.

    DeepSeek says cache hits in a field of its own; OpenRouter adds the true cost in USD.
    """
    try:
        seen = _usage(usage)
    except (msgspec.DecodeError, UnicodeDecodeError, ArithmeticError, ValueError):
        return None
    prompt = seen.prompt_tokens_details or _PromptDetails()
    completion = seen.completion_tokens_details or _CompletionDetails()
    cached = seen.prompt_cache_hit_tokens if prompt.cached_tokens is None else prompt.cached_tokens
    return Usage(
        prompt=whole(seen.prompt_tokens),
        completion=whole(seen.completion_tokens),
        cached=whole(cached),
        cache_written=whole(prompt.cache_write_tokens),
        reasoning=whole(completion.reasoning_tokens),
        cost_nano=None if seen.cost is None else nano(seen.cost),
    )


def nano(usd: Decimal) -> int | None:
    """US dollars as integer nanodollars, rounded half to even. None for what is no price: nonsense is not believed."""
    return round(usd * 1_000_000_000) if usd.is_finite() and 0 <= usd <= COST_MAX else None


def whole(count: Count) -> int:
    """A count as a provider says it, within what can be believed."""
    return min(max(0, int(count)), COUNT_MAX) if count else 0


class PromptTokensDetails(msgspec.Struct, frozen=True, omit_defaults=True):
    cached_tokens: int
    cache_write_tokens: int | None = None


class CompletionTokensDetails(msgspec.Struct, frozen=True):
    reasoning_tokens: int = 0


class UsageBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """Token counts as OpenAI says them. `cost` is in USD, where the provider told it."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails | None = None
    completion_tokens_details: CompletionTokensDetails | None = None
    cost: float | None = None


def write_usage(usage: Usage) -> UsageBody:
    return UsageBody(
        prompt_tokens=usage.prompt,
        completion_tokens=usage.completion,
        total_tokens=usage.total,
        prompt_tokens_details=(
            PromptTokensDetails(usage.cached, usage.cache_written or None)
            if usage.cached or usage.cache_written
            else None
        ),
        completion_tokens_details=CompletionTokensDetails(usage.reasoning) if usage.reasoning else None,
        cost=None if usage.cost_nano is None else usage.cost_nano / 1e9,
    )
