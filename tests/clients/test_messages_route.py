"""Anthropic's own client in front of the whole gateway: `/v1/messages`, whatever model is behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from anthropic import Anthropic, AuthenticationError, BadRequestError, NotFoundError
from anthropic.types import MessageParam, ToolParam

from headgate.testing import FakeUpstream
from headgate.testing.answers import Answer, ToolCall
from headgate.testing.faults import Status
from headgate.testing.gateway import RunningGateway
from tests.conftest import calls
from tests.usage import row_where

MODELS = ["claude-sonnet-5", "gpt-4o", "ollama/qwen3:8b", "echo"]
HELLO: list[MessageParam] = [{"role": "user", "content": "one two three"}]
WEATHER: ToolParam = {"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}


@pytest.fixture(params=["", "/api"])
def client(gateway: RunningGateway, request: pytest.FixtureRequest) -> Iterator[Anthropic]:
    with Anthropic(base_url=f"{gateway.url}{request.param}", api_key=gateway.key, max_retries=0) as client:
        yield client


@pytest.mark.parametrize("model", MODELS)
def test_every_model_answers_whole_and_streamed(client: Anthropic, model: str) -> None:
    whole = client.messages.create(model=model, max_tokens=50, messages=HELLO)
    [block] = whole.content
    assert block.type == "text"
    assert block.text
    assert (whole.stop_reason, whole.role) == ("end_turn", "assistant")
    with client.messages.stream(model=model, max_tokens=50, messages=HELLO) as stream:
        assert "".join(stream.text_stream) == block.text
        final = stream.get_final_message()
    assert (final.stop_reason, final.usage.output_tokens) == ("end_turn", whole.usage.output_tokens)


def test_an_answer_says_its_request_id_as_anthropic_does(client: Anthropic) -> None:
    whole = client.messages.create(model="echo", max_tokens=50, messages=HELLO)
    assert whole._request_id is not None
    assert whole._request_id.startswith("req_")


@pytest.mark.parametrize("model", MODELS[:3])
def test_tools_are_called_and_answered(client: Anthropic, fake: FakeUpstream, model: str) -> None:
    fake.script(Answer(tool_calls=(ToolCall("weather", '{"city": "Bern"}'),)))
    with client.messages.stream(model=model, max_tokens=50, messages=HELLO, tools=[WEATHER]) as stream:
        said = stream.get_final_message()
    assert said.stop_reason == "tool_use"
    call = said.content[-1]
    assert call.type == "tool_use"
    assert (call.name, call.input) == ("weather", {"city": "Bern"})
    turns: list[MessageParam] = [
        *HELLO,
        {"role": "assistant", "content": [{"type": "tool_use", "id": call.id, "name": "weather", "input": call.input}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "21 degrees"}]},
    ]
    client.messages.create(model=model, max_tokens=50, messages=turns, tools=[WEATHER])
    assert b"21 degrees" in calls(fake)[-1].body


def test_unknown_fields_reach_anthropic_and_a_query_is_no_part_of_the_path(
    client: Anthropic, fake: FakeUpstream, gateway: RunningGateway
) -> None:
    answer = client.messages.with_raw_response.create(
        model="claude-sonnet-5",
        max_tokens=9,
        messages=HELLO,
        extra_body={"a_field_of_tomorrow": [1]},
        extra_query={"beta": "true"},
        extra_headers={"x-claude-code-session-id": f"session at {client.base_url}"},
    )
    assert answer.headers["x-headgate-provider"] == "anthropic"
    assert json.loads(calls(fake)[-1].body)["a_field_of_tomorrow"] == [1]
    row = row_where(gateway, session=f"session at {client.base_url}")
    assert str(row["route"]).endswith("/v1/messages")


def test_errors_are_those_that_the_client_knows(client: Anthropic, fake: FakeUpstream) -> None:
    with pytest.raises(NotFoundError) as unknown:
        client.messages.create(model="nobody-knows-me", max_tokens=9, messages=HELLO)
    assert (unknown.value.request_id or "").startswith("req_")
    with pytest.raises(AuthenticationError):
        client.with_options(api_key="sk-nobody").messages.create(model="echo", max_tokens=9, messages=HELLO)
    fake.fault(Status(400, message="no such thing"))
    with pytest.raises(BadRequestError, match="no such thing"):
        client.messages.create(model="claude-sonnet-5", max_tokens=9, messages=HELLO)


def test_the_body_of_an_error_is_anthropics(gateway: RunningGateway) -> None:
    with (
        Anthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0) as client,
        pytest.raises(NotFoundError) as unknown,
    ):
        client.messages.create(model="nobody-knows-me", max_tokens=9, messages=HELLO)
    body = unknown.value.body
    assert isinstance(body, dict)
    assert (body["type"], body["error"]["type"]) == ("error", "not_found_error")
    assert body["request_id"] == unknown.value.request_id
