"""The usage rows, as an owner's programs read them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest

from headgate.testing.gateway import RunningGateway
from tests.usage import row_of, row_where, rows

PATH = "/api/v1/admin/usage"


@pytest.fixture
def owner(gateway: RunningGateway) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {gateway.owner_key}"}
    with httpx.Client(base_url=gateway.url, headers=headers, timeout=20) as client:
        yield client


def ask(http: httpx.Client, model: str, **headers: str) -> str:
    body = {"model": model, "messages": [{"role": "user", "content": "one two three"}]}
    return str(http.post("/v1/chat/completions", json=body, headers=headers).headers["x-request-id"])


def test_a_row_says_what_a_request_was(http: httpx.Client, gateway: RunningGateway) -> None:
    row = row_of(gateway, ask(http, "fast", **{"x-claude-code-session-id": "a-session"}))
    times = {name: row.pop(name) for name in ("at", "first_token_ms", "total_ms", "overhead_ms")}
    row.pop("request_id")
    assert row.pop("key_id").startswith("env:")
    assert row == {
        "key_name": "env-1",
        "route": "/v1/chat/completions",
        "model": "fast",
        "model_served": "gpt-4o-mini",
        "provider": "openai",
        "stream": False,
        "attempts": 1,
        "status": 200,
        "error": "",
        "partial": False,
        "prompt_tokens": 3,
        "completion_tokens": 3,
        "total_tokens": 6,
        "cached_tokens": 0,
        "cache_written_tokens": 0,
        "reasoning_tokens": 0,
        "estimated": False,
        "cost_usd": None,
        "session": "a-session",
    }
    assert abs(times["at"] - time.time()) < 60
    assert 0 <= times["overhead_ms"] <= times["total_ms"]
    assert 0 < times["first_token_ms"] <= times["total_ms"]


def test_counts_that_nobody_knows_are_null(http: httpx.Client, gateway: RunningGateway) -> None:
    row = row_of(gateway, ask(http, "no-such-model-at-all"))
    assert (row["status"], row["error"], row["attempts"]) == (404, "model_not_found", 0)
    assert row["prompt_tokens"] is row["total_tokens"] is row["cost_usd"] is row["first_token_ms"] is None


def test_a_stranger_leaves_no_row(gateway: RunningGateway) -> None:
    session = uuid4().hex
    headers = {"authorization": "Bearer nobody-knows-this-key", "x-claude-code-session-id": session}
    httpx.post(f"{gateway.url}/v1/chat/completions", json={"model": "echo", "messages": []}, headers=headers)
    assert [row for row in rows(gateway) if row["session"] == session] == []


def test_rows_come_newest_first_and_every_page_follows_the_last(http: httpx.Client, owner: httpx.Client) -> None:
    asked = [ask(http, "echo/paged") for _ in range(7)]
    filters: dict[str, str | int] = {"model": "paged", "limit": 3}
    seen: list[str] = []
    while True:
        page = owner.get(PATH, params=filters).json()
        seen += [row["request_id"] for row in page["data"]]
        if page["next_cursor"] is None:
            break
        assert len(page["data"]) == 3
        filters["cursor"] = page["next_cursor"]
    assert seen[: len(asked)] == asked[::-1]
    assert len(set(seen)) == len(seen)


def test_filters_agree_with_every_row_that_is_shown(http: httpx.Client, owner: httpx.Client) -> None:
    ask(http, "gpt-4o")
    ask(http, "claude-sonnet-4-5")
    ask(http, "none-such")
    for name, value, field in (
        ("provider", "anthropic", "provider"),
        ("model", "gpt-4o", "model_served"),
        ("status", 404, "status"),
    ):
        shown = owner.get(PATH, params={name: value}).json()["data"]
        assert shown
        assert {row[field] for row in shown} == {value}


def test_rows_are_found_by_key_and_by_time(http: httpx.Client, owner: httpx.Client, gateway: RunningGateway) -> None:
    session = uuid4().hex
    ask(http, "echo", **{"x-claude-code-session-id": session})
    row = row_where(gateway, session=session)
    at = row["at"]

    def found(**filters: object) -> bool:
        page = owner.get(PATH, params={"limit": 1000, **{name: str(value) for name, value in filters.items()}})
        return row["request_id"] in {shown["request_id"] for shown in page.json()["data"]}

    assert found(key_id=row["key_id"])
    assert not found(key_id="env:admin")
    assert found(since=at - 1, until=at + 1)
    assert not found(since=at + 1)
    assert not found(until=at - 1)
    assert found(since=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at - 1)))


@pytest.mark.parametrize(
    ("name", "value"),
    [("limit", "0"), ("limit", "1001"), ("limit", "x"), ("cursor", "junk"), ("since", "soon"), ("status", "good")],
)
def test_a_wrong_filter_is_named(owner: httpx.Client, name: str, value: str) -> None:
    answer = owner.get(PATH, params={name: value})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == name
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
