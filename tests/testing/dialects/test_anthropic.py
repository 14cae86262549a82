"""Anthropic's dialect, judged by Anthropic's own client and types."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from anthropic import AsyncAnthropic, AuthenticationError, BadRequestError, NotFoundError

from headgate.testing import Answer, FakeUpstream, ToolCall
from headgate.types import Usage
from headgate.wire import sse
from tests.testing.wire import plain
from tests.wire.shapes import assert_anthropic_event, assert_anthropic_message

HI: Any = [{"role": "user", "content": "one two three"}]
HEADERS = {"x-api-key": "a-key", "anthropic-version": "2023-06-01"}
THINKING = {"type": "enabled", "budget_tokens": 2000}
DISABLED = {"type": "disabled"}
BETWEEN_TOOLS = {"type": "between_tools"}
WEATHER = ToolCall("weather", '{"city":"Paris","days":3}')
ANSWERS = {
    "text": Answer(text="four five  six\nseven"),
    "thinking": Answer(thinking="let me see", text="42"),
    "tools": Answer(tool_calls=(WEATHER, ToolCall("clock"))),
    "all": Answer(thinking="hm", text="let me look", tool_calls=(WEATHER,)),
    "refusal": Answer(refusal="I will not"),
    "cached": Answer(text="x", cached=1, cache_written=1),
    "empty": Answer(),
}


@pytest.fixture
async def client(fake: FakeUpstream) -> AsyncIterator[AsyncAnthropic]:
    async with AsyncAnthropic(
        base_url=fake.base_url("anthropic"), api_key="a-key", max_retries=0, http_client=plain()
    ) as client:
        yield client


def asked(**change: Any) -> dict[str, Any]:
    return {"model": "claude-test", "max_tokens": 100, "messages": HI} | change


@pytest.mark.parametrize("name", ANSWERS)
async def test_a_stream_says_and_costs_what_the_whole_message_does(
    name: str, client: AsyncAnthropic, fake: FakeUpstream
) -> None:
    fake.script(ANSWERS[name], ANSWERS[name])
    whole = await client.messages.create(**asked())
    async with client.messages.stream(**asked()) as stream:
        streamed = await stream.get_final_message()
    said = [block.model_dump(exclude={"parsed_output"}) for block in streamed.content]
    assert said == [block.model_dump() for block in whole.content]
    assert streamed.stop_reason == whole.stop_reason
    assert streamed.usage.output_tokens == whole.usage.output_tokens
    assert streamed.usage.input_tokens == whole.usage.input_tokens
    assert fake.journal[0].charged == fake.journal[1].charged


@pytest.mark.parametrize("name", ANSWERS)
async def test_messages_and_events_have_anthropics_shape(
    name: str, http: httpx.AsyncClient, fake: FakeUpstream
) -> None:
    fake.script(ANSWERS[name], ANSWERS[name])
    whole = await http.post("/v1/messages", json=asked(), headers=HEADERS)
    assert_anthropic_message(whole.content)
    streamed = await http.post("/v1/messages?beta=true", json=asked(stream=True), headers=HEADERS)
    events = sse.read(streamed.content)
    assert [name for name, _ in events if name == "ping"] == (["ping"] if name != "empty" else [])
    for event, data in events:
        assert f'"type":"{event}"'.encode() in data
        if event != "ping":
            assert_anthropic_event(data)
    names = [event for event, _ in events]
    assert (names[0], names[-2], names[-1]) == ("message_start", "message_delta", "message_stop")


async def test_input_tokens_leave_out_what_the_cache_did(client: AsyncAnthropic, fake: FakeUpstream) -> None:
    fake.script(Answer(text="x y", cached=2, cache_written=1))
    usage = (await client.messages.create(**asked(system="be brief please"))).usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (3, 2, 1)
    assert usage.output_tokens == 2
    assert fake.journal[0].charged == Usage(prompt=6, completion=2, cached=2, cache_written=1)


async def test_usage_in_a_stream_grows_to_the_full_count(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/messages", json=asked(stream=True), headers=HEADERS)
    events: dict[str, Any] = {
        name: assert_anthropic_event(data) for name, data in sse.read(answer.content) if name != "ping"
    }
    assert events["message_start"].message.usage.output_tokens == 1
    assert events["message_delta"].usage.output_tokens == 3
    assert events["message_delta"].usage.input_tokens == 3


async def test_thinking_comes_with_a_signature_that_is_asked_for_again(
    client: AsyncAnthropic, fake: FakeUpstream
) -> None:
    fake.script(Answer(thinking="let me see", tool_calls=(WEATHER,)))
    first = await client.messages.create(**asked())
    assert [block.type for block in first.content] == ["thinking", "tool_use"]
    assert first.stop_reason == "tool_use"
    said = [block.model_dump(exclude_none=True) for block in first.content]
    result = {"type": "tool_result", "tool_use_id": said[1]["id"], "content": "sunny"}
    turns = [*HI, {"role": "assistant", "content": said}, {"role": "user", "content": [result]}]
    assert await client.messages.create(**asked(messages=turns))
    said[0]["thinking"] = "let me think"
    with pytest.raises(BadRequestError, match="signature"):
        await client.messages.create(**asked(messages=turns))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [*HI, *HI]}, "messages.1"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "messages.0"),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages.0"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]}, "messages.0.content.0"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages.0.content.0"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": None}, "max_tokens"),
        ({"temperature": 1.5}, "temperature"),
        ({"thinking": {"type": "enabled", "budget_tokens": 10}}, "budget_tokens"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "max_tokens"),
        ({"max_tokens": 4000, "temperature": 0, "thinking": {"type": "enabled", "budget_tokens": 2000}}, "temperature"),
    ],
)
async def test_a_wrong_body_is_refused_at_its_field(change: Any, named: str, http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/messages", json=asked(**change), headers=HEADERS)
    assert answer.status_code == 400
    body = answer.json()
    assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")
    assert named in body["error"]["message"]


@pytest.mark.parametrize(
    ("model", "change", "named"),
    [
        ("claude-opus-4-7", {"temperature": 0.5}, "temperature"),
        ("claude-sonnet-5", {"top_p": 0.5}, "top_p"),
        ("claude-fable-5-1", {"top_k": 5}, "top_k"),
        ("claude-opus-5", {"temperature": 1, "top_p": 0.99}, "not both"),
        ("claude-opus-4-1-20250805", {"temperature": 0.5, "top_p": 0.5}, "not both"),
        ("claude-haiku-4-5", {"temperature": 0.5, "top_p": 0.5}, "not both"),
        ("claude-haiku-5-5", {"thinking": THINKING}, "thinking.type"),
        ("claude-opus-5-5", {"thinking": DISABLED}, "thinking.type"),
        ("claude-mythos-5", {"thinking": BETWEEN_TOOLS}, "thinking.type"),
        ("claude-sonnet-5-5", {"thinking": DISABLED}, "thinking.type"),
        ("claude-opus-5", {"output_config": {"effort": "minimal"}}, "output_config.effort"),
    ],
)
async def test_a_model_refuses_what_its_generation_does_not_take(
    model: str, change: Any, named: str, http: httpx.AsyncClient
) -> None:
    answer = await http.post("/v1/messages", json=asked(model=model, max_tokens=4000, **change), headers=HEADERS)
    assert answer.status_code == 400
    assert named in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("model", "change"),
    [
        ("claude-opus-4-20250514", {"temperature": 0.5, "top_p": 0.5, "top_k": 5}),
        ("claude-sonnet-4-6", {"temperature": 0.5, "top_k": 5}),
        ("claude-opus-4-6", {"thinking": THINKING}),
        ("claude-opus-5", {"temperature": 1, "thinking": DISABLED}),
        ("claude-sonnet-5-5", {"thinking": BETWEEN_TOOLS}),
        ("claude-fable-5", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}),
    ],
)
async def test_a_model_takes_what_its_generation_does(model: str, change: Any, http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/messages", json=asked(model=model, max_tokens=4000, **change), headers=HEADERS)
    assert answer.status_code == 200


async def test_max_tokens_is_required(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/messages", json={"model": "claude", "messages": HI}, headers=HEADERS)
    assert answer.status_code == 400
    assert "max_tokens" in answer.json()["error"]["message"]


USE = {"type": "tool_use", "id": "a", "name": "f", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "a", "content": "x"}
TEXT = {"type": "text", "text": "x"}


@pytest.mark.parametrize(
    ("said", "answered", "taken"),
    [
        ([USE], [RESULT], True),
        ([USE], [RESULT, TEXT], True),
        ([USE], [TEXT, RESULT], False),
        ([USE], [TEXT], False),
        ([TEXT], [RESULT], False),
        ([USE], [RESULT | {"tool_use_id": "b"}], False),
    ],
)
async def test_tool_results_stand_right_after_their_calls(
    said: Any, answered: Any, taken: bool, http: httpx.AsyncClient
) -> None:
    turns = [*HI, {"role": "assistant", "content": said}, {"role": "user", "content": answered}]
    answer = await http.post("/v1/messages", json=asked(messages=turns), headers=HEADERS)
    assert answer.status_code == (200 if taken else 400)


@pytest.mark.parametrize(
    ("change", "reason", "sequence"),
    [
        ({}, "end_turn", None),
        ({"max_tokens": 2}, "max_tokens", None),
        ({"stop_sequences": ["three"]}, "stop_sequence", "three"),
    ],
)
async def test_an_answer_says_why_it_ended(
    change: Any, reason: str, sequence: str | None, client: AsyncAnthropic
) -> None:
    answer = await client.messages.create(**asked(**change))
    assert (answer.stop_reason, answer.stop_sequence) == (reason, sequence)
    async with client.messages.stream(**asked(**change)) as stream:
        streamed = await stream.get_final_message()
    assert (streamed.stop_reason, streamed.stop_sequence) == (reason, sequence)


async def test_a_key_is_needed_in_either_header(http: httpx.AsyncClient, fake: FakeUpstream) -> None:
    async with httpx.AsyncClient(base_url=fake.url, verify=False) as bare:
        version = {"anthropic-version": "2023-06-01"}
        refused = await bare.post("/v1/messages", json=asked(), headers=version)
        assert refused.status_code == 401
        assert refused.json()["error"]["type"] == "authentication_error"
        for key in ({"x-api-key": "a"}, {"authorization": "Bearer a"}):
            assert (await bare.post("/v1/messages", json=asked(), headers=version | key)).status_code == 200


async def test_a_wrong_key_is_refused() -> None:
    async with (
        FakeUpstream(key="the-key") as fake,
        AsyncAnthropic(
            base_url=fake.base_url("anthropic"), api_key="another", max_retries=0, http_client=plain()
        ) as client,
    ):
        with pytest.raises(AuthenticationError):
            await client.messages.create(**asked())


async def test_a_version_is_needed(http: httpx.AsyncClient) -> None:
    refused = await http.post("/v1/messages", json=asked(), headers={"x-api-key": "a-key"})
    assert refused.status_code == 400
    assert "anthropic-version" in refused.json()["error"]["message"]


async def test_models_are_listed_to_who_names_a_version(
    client: AsyncAnthropic, http: httpx.AsyncClient, fake: FakeUpstream
) -> None:
    listed = [model.id async for model in client.models.list()]
    assert listed == list(fake.dialects["anthropic"].models)
    assert (await http.get("/v1/models")).json()["object"] == "list"


async def test_tokens_are_counted_without_an_answer(client: AsyncAnthropic, fake: FakeUpstream) -> None:
    counted = await client.messages.count_tokens(model="claude", messages=HI, system="be brief")
    assert counted.input_tokens == 5
    assert fake.journal.charged == Usage()


async def test_a_model_outside_a_closed_list_is_unknown() -> None:
    async with (
        FakeUpstream(models={"anthropic": ["claude-mine"]}) as fake,
        AsyncAnthropic(
            base_url=fake.base_url("anthropic"), api_key="a-key", max_retries=0, http_client=plain()
        ) as client,
    ):
        with pytest.raises(NotFoundError):
            await client.messages.create(**asked())
