"""LangChain's OpenAI classes in front of the whole gateway."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, SecretStr

from headgate.testing import FakeUpstream
from headgate.testing.answers import Answer, ToolCall
from headgate.testing.dialects.vectors import vector
from headgate.testing.gateway import RunningGateway
from tests.conftest import calls

MODELS = ["gpt-4o", "claude-sonnet-4-5", "llama2"]


class Capital(BaseModel):
    """A city."""

    city: str
    people: int


def weather(city: str) -> str:
    """The weather of a city."""
    return f"It rains in {city}."


@pytest.fixture
def settings(gateway: RunningGateway, watched: httpx2.Client) -> dict[str, Any]:
    return {
        "base_url": f"{gateway.url}/v1",
        "api_key": SecretStr(gateway.key),
        "http_client": watched,
        "max_retries": 0,
    }


@pytest.mark.parametrize("model", MODELS)
def test_a_chat_is_invoked_and_streamed(settings: dict[str, Any], model: str) -> None:
    chat = ChatOpenAI(model=model, **settings)
    messages = [SystemMessage("Be brief."), HumanMessage("Say hello")]
    answer = chat.invoke(messages)
    assert answer.content == "Say hello"
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["total_tokens"] == 2 + 2 + 2
    assert "".join(str(chunk.content) for chunk in chat.stream(messages)) == "Say hello"


@pytest.mark.parametrize("model", MODELS)
def test_usage_is_streamed_where_it_is_asked_for(settings: dict[str, Any], model: str) -> None:
    chunks = list(ChatOpenAI(model=model, stream_usage=True, **settings).stream("Say hello"))
    counted = [chunk.usage_metadata["output_tokens"] for chunk in chunks if chunk.usage_metadata]
    assert counted == [2]


@pytest.mark.parametrize("model", MODELS)
def test_a_tool_is_called_and_its_result_goes_back(settings: dict[str, Any], fake: FakeUpstream, model: str) -> None:
    chat = ChatOpenAI(model=model, **settings).bind_tools([weather])
    fake.script(Answer(tool_calls=(ToolCall("weather", '{"city": "Bern"}'),)))
    asked = chat.invoke("How is it in Bern?")
    assert isinstance(asked, AIMessage)
    (call,) = asked.tool_calls
    assert (call["name"], call["args"]) == ("weather", {"city": "Bern"})
    fake.script(Answer(text="Take an umbrella."))
    result = ToolMessage(weather(**call["args"]), tool_call_id=call["id"])
    assert chat.invoke([HumanMessage("How is it in Bern?"), asked, result]).content == "Take an umbrella."
    assert b"It rains in Bern." in calls(fake)[-1].body


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
@pytest.mark.parametrize("model", MODELS[:2])
def test_an_answer_in_a_structure(settings: dict[str, Any], fake: FakeUpstream, model: str, method: Any) -> None:
    said = '{"city": "Bern", "people": 137000}'
    by_call = method == "function_calling"
    fake.script(Answer(tool_calls=(ToolCall("Capital", said),)) if by_call else Answer(text=said))
    chat = ChatOpenAI(model=model, **settings).with_structured_output(Capital, method=method)
    assert chat.invoke("The capital?") == Capital(city="Bern", people=137_000)


def test_a_text_becomes_a_vector(settings: dict[str, Any]) -> None:
    plain = OpenAIEmbeddings(model="text-embedding-3-small", check_embedding_ctx_length=False, **settings)
    assert plain.embed_query("a gate") == pytest.approx(vector("a gate"), abs=1e-6)
    assert [len(found) for found in plain.embed_documents(["one", "two"])] == [1536, 1536]
