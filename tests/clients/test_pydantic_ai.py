"""pydantic-ai, which validates every field, in front of the whole gateway."""

from __future__ import annotations

import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.output import NativeOutput
from pydantic_ai.providers.openai import OpenAIProvider

from headgate.testing import FakeUpstream
from headgate.testing.answers import Answer, ToolCall
from tests.conftest import calls

MODELS = ["gpt-4o", "claude-sonnet-4-5", "llama2", "deepseek-chat", "openrouter/openai/gpt-4o"]
every_model = pytest.mark.parametrize("model", MODELS)


class Capital(BaseModel):
    city: str
    people: int


def chat(client: AsyncOpenAI, model: str) -> OpenAIChatModel:
    return OpenAIChatModel(model, provider=OpenAIProvider(openai_client=client))


@every_model
async def test_an_agent_runs(async_client: AsyncOpenAI, model: str) -> None:
    run = await Agent(chat(async_client, model), instructions="Be brief.").run("Say hello")
    assert run.output == "Say hello"
    assert (run.usage.input_tokens, run.usage.output_tokens) == (4, 2)


@every_model
async def test_an_agent_streams(async_client: AsyncOpenAI, model: str) -> None:
    async with Agent(chat(async_client, model)).run_stream("Say hello to every gate") as run:
        said = [text async for text in run.stream_text(delta=True, debounce_by=None)]
    assert "".join(said) == "Say hello to every gate"
    assert len(said) > 1
    assert run.usage.output_tokens == 5


@every_model
async def test_an_agent_uses_its_tools(async_client: AsyncOpenAI, fake: FakeUpstream, model: str) -> None:
    agent = Agent(chat(async_client, model))
    asked: list[str] = []

    @agent.tool_plain
    def weather(city: str) -> str:
        asked.append(city)
        return f"It rains in {city}."

    fake.script(
        Answer(tool_calls=(ToolCall("weather", '{"city": "Bern"}'), ToolCall("weather", '{"city": "Basel"}'))),
        Answer(text="Take an umbrella."),
    )
    run = await agent.run("How is it?")
    assert run.output == "Take an umbrella."
    assert sorted(asked) == ["Basel", "Bern"]
    assert b"It rains in Basel." in calls(fake)[-1].body


@pytest.mark.parametrize("model", MODELS[:2])
async def test_an_agent_answers_in_a_structure(async_client: AsyncOpenAI, fake: FakeUpstream, model: str) -> None:
    said = '{"city": "Bern", "people": 137000}'
    fake.script(Answer(text=said))
    native = await Agent(chat(async_client, model), output_type=NativeOutput(Capital)).run("The capital?")
    fake.script(Answer(tool_calls=(ToolCall("final_result", said),)))
    called = await Agent(chat(async_client, model), output_type=Capital).run("The capital?")
    assert native.output == called.output == Capital(city="Bern", people=137_000)
