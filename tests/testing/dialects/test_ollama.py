"""Ollama's own dialect, line by line."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest

from headgate.testing import Answer, FakeUpstream, ToolCall
from headgate.types import Usage

HI: Any = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "one two three"}]
ANSWERS = {
    "text": Answer(text="four five"),
    "thinking": Answer(thinking="let me see", text="42"),
    "tools": Answer(tool_calls=(ToolCall("weather", '{"city":"Paris"}'),)),
    "empty": Answer(),
}


async def lines(http: httpx.AsyncClient, **body: Any) -> list[Any]:
    answer = await http.post("/ollama/api/chat", json={"model": "llama2", "messages": HI} | body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.content.endswith(b"\n")
    return [msgspec.json.decode(line) for line in answer.content.splitlines()]


@pytest.mark.parametrize("name", ANSWERS)
async def test_a_stream_says_and_counts_what_the_whole_answer_does(
    name: str, http: httpx.AsyncClient, fake: FakeUpstream
) -> None:
    fake.script(ANSWERS[name], ANSWERS[name])
    body = {"model": "llama2", "messages": HI, "stream": False}
    whole = (await http.post("/ollama/api/chat", json=body)).json()
    *before, last = await lines(http)
    assert all(line["done"] is False for line in before)
    said = {"role": "assistant", "content": "".join(line["message"]["content"] for line in before)}
    if thought := "".join(line["message"].get("thinking", "") for line in before):
        said["thinking"] = thought
    calls = [call for line in before for call in line["message"].get("tool_calls", [])]
    assert said | ({"tool_calls": calls} if calls else {}) == whole["message"]
    assert last | {"message": whole["message"]} == whole
    assert last["done"] is True
    assert (last["prompt_eval_count"], last["eval_count"]) == (5, ANSWERS[name].completion_tokens)
    assert fake.journal[0].charged == fake.journal[1].charged


async def test_arguments_of_a_tool_call_are_an_object(http: httpx.AsyncClient, fake: FakeUpstream) -> None:
    fake.script(ANSWERS["tools"])
    called = (await lines(http))[0]["message"]["tool_calls"][0]["function"]
    assert (called["name"], called["arguments"]) == ("weather", {"city": "Paris"})


@pytest.mark.parametrize(
    ("options", "text", "reason"),
    [
        ({}, "one two three", "stop"),
        ({"num_predict": 2}, "one two", "length"),
        ({"num_predict": -1}, "one two three", "stop"),
        ({"stop": [" three"]}, "one two", "stop"),
    ],
)
async def test_options_bound_the_answer(options: Any, text: str, reason: str, http: httpx.AsyncClient) -> None:
    found = await lines(http, options=options)
    assert "".join(line["message"]["content"] for line in found) == text
    assert found[-1]["done_reason"] == reason


@pytest.mark.parametrize("path", ["/ollama/api/chat", "/ollama/api/show", "/ollama/api/embed"])
async def test_an_unknown_model_is_named_with_a_hint_to_pull_it(path: str, http: httpx.AsyncClient) -> None:
    answer = await http.post(path, json={"model": "nobody", "messages": HI, "input": "x"})
    assert answer.status_code == 404
    assert answer.json() == {"error": 'model "nobody" not found, try pulling it first'}


async def test_in_openais_shape_the_hint_is_an_error_object(http: httpx.AsyncClient) -> None:
    answer = await http.post("/ollama/v1/chat/completions", json={"model": "nobody", "messages": HI})
    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "not_found_error"
    assert "try pulling it first" in answer.json()["error"]["message"]


async def test_it_needs_no_key() -> None:
    async with FakeUpstream(dialect="ollama") as fake, httpx.AsyncClient(base_url=fake.url, verify=False) as bare:
        assert fake.base_url("ollama") == fake.url
        assert (await bare.get("/api/tags")).status_code == 200
        assert (await bare.post("/api/chat", json={"model": "llama2", "messages": HI})).status_code == 200


async def test_one_with_a_key_wants_it() -> None:
    async with FakeUpstream(key="k") as fake, httpx.AsyncClient(base_url=fake.url, verify=False) as bare:
        assert (await bare.get("/ollama/api/tags")).status_code == 401
        assert (await bare.get("/ollama/api/tags", headers={"authorization": "Bearer k"})).status_code == 200


async def test_it_tells_of_its_models_and_its_version(http: httpx.AsyncClient, fake: FakeUpstream) -> None:
    tags = (await http.get("/ollama/api/tags")).json()["models"]
    assert [tag["name"] for tag in tags] == list(fake.dialects["ollama"].models)
    shown = (await http.post("/ollama/api/show", json={"model": "llama2"})).json()
    assert shown["model_info"]
    assert "completion" in shown["capabilities"]
    assert (await http.get("/ollama/api/version")).json()["version"].count(".") == 2


async def test_texts_are_embedded(http: httpx.AsyncClient, fake: FakeUpstream) -> None:
    body = {"model": "nomic-embed-text", "input": ["a b", "c"]}
    answer = (await http.post("/ollama/api/embed", json=body)).json()
    assert [len(vector) for vector in answer["embeddings"]] == [768, 768]
    assert answer["prompt_eval_count"] == 3
    assert fake.journal[0].charged == Usage(prompt=3)
    one = (await http.post("/ollama/api/embed", json=body | {"input": "a b"})).json()
    assert one["embeddings"] == answer["embeddings"][:1]


async def test_a_failure_inside_a_native_stream_is_a_line(http: httpx.AsyncClient, fake: FakeUpstream) -> None:
    fake.fault("error_event=1")
    found = await lines(http)
    assert found[-1] == {"error": "The provider disconnected."}
    assert len(found) == 2


async def test_a_cold_model_answers_late_once() -> None:
    async with (
        FakeUpstream(cold_start_s=0.4) as fake,
        httpx.AsyncClient(base_url=fake.url, verify=False) as bare,
    ):
        for _ in range(2):
            await bare.post("/ollama/api/chat", json={"model": "llama2", "messages": HI})
        cold, warm = (entry.over_at - entry.received_at for entry in fake.journal)
    assert cold >= 0.4 > warm
