"""The model list, in the shapes that the clients of all the replaced systems read."""

from __future__ import annotations

import time

import httpx
import pytest

from headgate.testing.gateway import RunningGateway

FIELDS = {
    "id", "object", "created", "owned_by", "name", "provider", "type", "status", "context_length", "context_window",
    "pricing", "cost_per_1k_prompt_tokens", "cost_per_1k_completion_tokens", "enabled", "capabilities",
    "modality", "source", "fetched_at",
}  # fmt: skip

both_prefixes = pytest.mark.parametrize("path", ["/v1/models", "/api/v1/models"])


@both_prefixes
def test_the_list_stands_under_both_names(http: httpx.Client, path: str) -> None:
    page = http.get(path).json()
    assert page["object"] == "list"
    assert page["data"] == page["models"]
    assert page["total"] == page["limit"] == len(page["data"])
    assert page["offset"] == 0
    assert all(set(row) == FIELDS for row in page["data"])
    assert len({row["id"] for row in page["data"]}) == len(page["data"])


@both_prefixes
def test_the_bare_list_is_the_rows_alone(http: httpx.Client, path: str) -> None:
    assert http.get(path, params={"shape": "list"}).json() == http.get(path).json()["data"]


def test_a_page_is_a_slice(http: httpx.Client) -> None:
    rows = http.get("/v1/models").json()["data"]
    page = http.get("/v1/models", params={"limit": 2, "offset": 1}).json()
    assert page["data"] == rows[1:3]
    assert (page["total"], page["limit"], page["offset"]) == (len(rows), 2, 1)
    assert http.get("/v1/models", params={"offset": 10_000}).json()["data"] == []


@pytest.mark.parametrize(("name", "value"), [("limit", "-1"), ("limit", "ten"), ("offset", "1e3"), ("limit", "9" * 99)])
def test_a_wrong_page_is_a_bad_request(http: httpx.Client, name: str, value: str) -> None:
    answer = http.get("/v1/models", params={name: value})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, name)


def test_prices_and_context_come_from_the_provider(http: httpx.Client) -> None:
    row = http.get("/v1/models/meta-llama/llama-3.3-70b-instruct").json()
    assert (row["provider"], row["context_length"]) == ("openrouter", 128_000)
    assert row["pricing"] == {"prompt": "0.00000025", "completion": "0.00000125"}
    assert row["cost_per_1k_prompt_tokens"] == 0.00025
    assert (row["modality"], row["capabilities"], row["source"]) == ("text->text", ["tools"], "the list of openrouter")
    assert abs(row["fetched_at"] - time.time()) < 3600


@pytest.mark.parametrize("name", ["fast", "echo", "llama2", "llama2:latest", "meta-llama/Llama-3.1-8B-Instruct"])
@both_prefixes
def test_one_model_is_its_row_of_the_list(http: httpx.Client, path: str, name: str) -> None:
    (row,) = [row for row in http.get(path).json()["data"] if row["id"] == name]
    assert http.get(f"{path}/{name}").json() == row


def test_an_unknown_model_is_not_found(http: httpx.Client) -> None:
    answer = http.get("/v1/models/no-such/model")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


def test_the_list_needs_a_key(gateway: RunningGateway) -> None:
    assert httpx.get(f"{gateway.url}/v1/models").status_code == 401
    assert httpx.get(f"{gateway.url}/v1/models/echo").status_code == 401


def test_head_is_a_get_without_its_body(http: httpx.Client) -> None:
    assert (http.head("/v1/models").status_code, http.head("/v1/models").content) == (200, b"")
