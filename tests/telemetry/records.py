"""Finished requests for the telemetry's tests."""

from __future__ import annotations

import msgspec

from headgate.types import Record, Usage

PLAIN = Record(
    request_id="req-1",
    at_us=1_700_000_000_000_000,
    key_id="k1",
    key_name="alice",
    route="/v1/chat/completions",
    model_asked="small",
    model_served="gpt-4o-mini",
    provider="openai",
    attempts=1,
    status=200,
    usage=Usage(prompt=100, completion=20, cached=5, reasoning=3, cost_nano=1_500_000),
    first_token_us=1200,
    upstream_us=800,
    total_us=1500,
)


def record(**changes: object) -> Record:
    """The plain request with some fields changed."""
    return msgspec.structs.replace(PLAIN, **changes)
