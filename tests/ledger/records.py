"""Records as the meter would make them."""

from __future__ import annotations

from typing import Any

from headgate.types import Record, Usage


def record(request_id: str, **facts: Any) -> Record:
    said = {
        "at_us": 1_700_000_000_000_000,
        "key_id": "key_1",
        "key_name": "ci",
        "route": "/v1/chat/completions",
        "model_asked": "fast",
        "model_served": "gpt-4o-mini",
        "provider": "openai",
        "attempts": 1,
        "status": 200,
        "usage": Usage(prompt=100, completion=50),
        "upstream_us": 900,
        "total_us": 1000,
    }
    return Record(request_id, **(said | facts))


def underway(request_id: str, **facts: Any) -> Record:
    """What is known when a request goes to a provider."""
    return record(request_id, **({"status": 0, "usage": None} | facts))
