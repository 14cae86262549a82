"""What a provider's words mean: which refusal it is, and which failure an error event inside a stream tells of."""

from __future__ import annotations

import re

from headgate.errors import (
    ContentFiltered,
    ContextTooLong,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamFailed,
    UpstreamRateLimited,
    UpstreamRefused,
)

_TOO_LONG = re.compile(
    r"context_length_exceeded|model_max_prompt_tokens_exceeded|maximum context length|prompt is too long"
    r"|exceeds? the (?:available |maximum )?context (?:size|length|window)|input is too long"
    r"|input length and `max_tokens` exceed context limit",
    re.I,
)
"""OpenAI, GitHub, vLLM and OpenRouter, Anthropic, llama.cpp, Bedrock, Anthropic again."""
_FILTERED = re.compile(
    r"^(?:content_filter|content_policy_violation|data_inspection_failed|ResponsibleAIPolicyViolation)$"
)
"""Azure and DeepSeek, OpenAI's images, Qwen, Azure's inner error."""

_STATUSES = {
    "invalid_request_error": 400,
    "context_length_exceeded": 400,
    "content_filter": 400,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "billing_error": 402,
    "insufficient_quota": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "overloaded_error": 529,
}
"""The status that an error's code or type stands for, where it has no status of its own."""


def refused(message: str, *, param: str | None = None, code: str | None = None, status: int) -> UpstreamRefused:
    """The refusal of a request, as the kind that it is. `status` is the provider's own, 4xx."""
    if _FILTERED.match(code or ""):
        return ContentFiltered(message, param=param, upstream_status=status)
    if status in (400, 413, 422) and _TOO_LONG.search(f"{code} {message}"):
        return ContextTooLong(message, param=param, upstream_status=status)
    return UpstreamRefused(message, param=param, code=code, upstream_status=status)


def told(message: str, code: str, kind: str) -> UpstreamError:
    """The failure that an error event tells of, by its code and its type; one that says neither failed by itself."""
    status = int(code) if len(code) == 3 and code.isdecimal() else _STATUSES.get(code) or _STATUSES.get(kind, 0)
    if status in (401, 403):
        return UpstreamAuthFailed("the provider refused the gateway's credential", upstream_status=status)
    if status == 402:
        return UpstreamRateLimited(message, code="insufficient_quota", upstream_status=status)
    if status == 429 or "rate_limit" in f"{code} {kind}":
        return UpstreamRateLimited(message, upstream_status=429)
    if 400 <= status < 500 and status != 408:
        return refused(message, code=None if code.isdecimal() else code or None, status=status)
    return UpstreamFailed(message, upstream_status=status)
