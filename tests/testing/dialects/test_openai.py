"""OpenAI's dialect, judged by OpenAI's own client and types."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI, AuthenticationError, BadRequestError, NotFoundError

from headgate.testing import Answer, FakeUpstream, ToolCall
from headgate.types import Usage
from headgate.wire import sse
from tests.testing.wire import plain
from tests.wire.shapes import assert_chat_chunk, assert_chat_completion, assert_completion, assert_embeddings

HI: Any = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "one two three"}]
WEATHER = ToolCall("weather", '{"city": "Paris", "days": 3}')
ANSWERS = {
    "text": Answer(text="four five  six\nseven"),
    "empty": Answer(),
    "tools": Answer(tool_calls=(WEATHER, ToolCall("clock"))),
    "text and tools": Answer(text="let me look", tool_calls=(WEATHER,)),
    "refusal": Answer(refusal="I will not"),
    "reasoned": Answer(thinking="hmm let me see", text="42", cached=3),
    "length": Answer(text="cut off", finish="length"),
}


@pytest.fixture
async def client(fake: FakeUpstream) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(
        base_url=fake.base_url("openai"), api_key="a-key", max_retries=0, http_client=plain()
    ) as client:
        yield client


async def chunks(http: httpx.AsyncClient, path: str, body: dict[str, Any]) -> list[bytes]:
    """The data of every event, with the end mark checked and taken away."""
    answer = await http.post(path, json=body | {"stream": True})
    assert answer.status_code == 200, answer.text
    *data, end = [data for _, data in sse.read(answer.content)]
    assert end == b"[DONE]"
    return data


async def test_the_default_answer_echoes_the_last_user(client: AsyncOpenAI, fake: FakeUpstream) -> None:
    answer = await client.chat.completions.create(model="gpt-4o", messages=HI)
    assert answer.choices[0].message.content == "one two three"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (5, 3, 8)
    assert fake.journal[0].charged == Usage(prompt=5, completion=3)


@pytest.mark.parametrize("name", ANSWERS)
async def test_every_answer_has_openais_shape(name: str, http: httpx.AsyncClient, fake: FakeUpstream) -> None:
    fake.script(ANSWERS[name])
    assert_chat_completion((await http.post("/v1/chat/completions", json={"model": "gpt-4o", "messages": HI})).content)


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("counts", [True, False])
async def test_every_chunk_has_openais_shape(
    name: str, counts: bool, http: httpx.AsyncClient, fake: FakeUpstream
) -> None:
    fake.script(ANSWERS[name])
    body = {"model": "gpt-4o", "messages": HI, "stream_options": {"include_usage": counts}}
    for data in await chunks(http, "/v1/chat/completions", body):
        assert_chat_chunk(data)


@pytest.mark.parametrize("name", ANSWERS)
async def test_a_stream_says_and_costs_what_the_whole_answer_does(
    name: str, client: AsyncOpenAI, fake: FakeUpstream
) -> None:
    fake.script(ANSWERS[name], ANSWERS[name])
    whole = await client.chat.completions.create(model="gpt-4o", messages=HI)
    text, refusal, calls, finish, usage = "", "", {}, None, None
    async for chunk in await client.chat.completions.create(
        model="gpt-4o", messages=HI, stream=True, stream_options={"include_usage": True}
    ):
        usage = chunk.usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            refusal += choice.delta.refusal or ""
            finish = choice.finish_reason or finish
            for call in choice.delta.tool_calls or []:
                assert call.function
                named = calls.setdefault(call.index, [call.function.name, ""])
                named[1] += call.function.arguments or ""
    message = whole.choices[0].message
    assert (text, refusal) == (message.content or "", message.refusal or "")
    expected = [[call.function.name, call.function.arguments] for call in message.tool_calls or []]  # type: ignore[union-attr]
    assert list(calls.values()) == expected
    assert finish == whole.choices[0].finish_reason
    assert usage == whole.usage
    assert fake.journal[0].charged == fake.journal[1].charged


async def test_usage_comes_in_a_stream_only_where_it_was_asked_for(http: httpx.AsyncClient) -> None:
    body = {"model": "gpt-4o", "messages": HI}
    assert not any(b"usage" in data for data in await chunks(http, "/v1/chat/completions", body))
    asked = await chunks(http, "/v1/chat/completions", body | {"stream_options": {"include_usage": True}})
    *before, last = map(assert_chat_chunk, asked)
    assert all(b'"usage":null' in data for data in asked[:-1])
    assert all(chunk.usage is None and chunk.choices for chunk in before)
    assert last.usage is not None
    assert last.usage.total_tokens == 8
    assert not last.choices


async def test_details_of_usage_are_given(client: AsyncOpenAI, fake: FakeUpstream) -> None:
    fake.script(Answer(thinking="a b c", text="d", cached=2))
    usage = (await client.chat.completions.create(model="o3", messages=HI)).usage
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    assert usage.completion_tokens_details is not None
    assert usage.completion_tokens == 4
    assert usage.prompt_tokens_details.cached_tokens == 2
    assert usage.completion_tokens_details.reasoning_tokens == 3


async def test_scripted_usage_wins_over_counting(client: AsyncOpenAI, fake: FakeUpstream) -> None:
    fake.script(Answer(text="x", usage=Usage(prompt=100, completion=50, cached=10)))
    answer = await client.chat.completions.create(model="gpt-4o", messages=HI)
    assert answer.usage is not None
    assert answer.usage.total_tokens == 150
    assert fake.journal.charged == Usage(prompt=100, completion=50, cached=10)


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
async def test_the_limit_cuts_the_answer(field: str, client: AsyncOpenAI) -> None:
    limit: Any = {field: 2}
    answer = await client.chat.completions.create(model="gpt-4o", messages=HI, **limit)
    assert answer.choices[0].message.content == "one two"
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 2


async def test_a_stop_sequence_ends_the_answer_before_itself(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="gpt-4o", messages=HI, stop=["three", " two"])
    assert answer.choices[0].message.content == "one"
    assert answer.choices[0].finish_reason == "stop"


async def test_several_choices_cost_as_many_answers(client: AsyncOpenAI, http: httpx.AsyncClient) -> None:
    answer = await client.chat.completions.create(model="gpt-4o", messages=HI, n=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 9
    streamed = await chunks(http, "/v1/chat/completions", {"model": "gpt-4o", "messages": HI, "n": 2})
    texts = ["", ""]
    for chunk in map(assert_chat_chunk, streamed):
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    assert texts == ["one two three"] * 2


@pytest.mark.parametrize("model", ["o1", "o3-mini", "o4-mini", "gpt-5", "gpt-5-mini"])
@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("temperature", 0.2, "unsupported_value"),
        ("top_p", 0.5, "unsupported_value"),
        ("max_tokens", 5, "unsupported_parameter"),
    ],
)
async def test_a_reasoning_model_refuses_what_it_does_not_take(
    model: str, field: str, value: float, code: str, client: AsyncOpenAI
) -> None:
    setting: Any = {field: value}
    with pytest.raises(BadRequestError) as refused:
        await client.chat.completions.create(model=model, messages=HI, **setting)
    assert (refused.value.code, refused.value.param) == (code, field)
    assert await client.chat.completions.create(model=model, messages=HI, temperature=1, max_completion_tokens=5)


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-5-chat-latest"])
async def test_other_models_take_a_temperature(model: str, client: AsyncOpenAI) -> None:
    assert await client.chat.completions.create(model=model, messages=HI, temperature=0.2, max_tokens=5)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
        ({"messages": [{"role": "tool", "content": "x", "tool_call_id": "a"}]}, "messages.[0].role"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"n": 0}, "n"),
        ({"max_tokens": "many"}, "max_tokens"),
    ],
)
async def test_a_wrong_body_is_refused_at_its_field(change: Any, param: str, http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/chat/completions", json={"model": "gpt-4o", "messages": HI} | change)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["param"]) == ("invalid_request_error", param)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"messages"'])
async def test_a_body_that_is_not_json_is_refused(body: bytes, http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/chat/completions", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


async def test_tool_calls_must_be_answered(client: AsyncOpenAI) -> None:
    called: Any = {
        "role": "assistant",
        "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }
    result: Any = {"role": "tool", "tool_call_id": "a", "content": "sunny"}
    assert await client.chat.completions.create(model="gpt-4o", messages=[*HI, called, result])
    with pytest.raises(BadRequestError):
        await client.chat.completions.create(model="gpt-4o", messages=[*HI, called, *HI])


async def test_a_key_is_needed_and_may_be_one() -> None:
    async with FakeUpstream(key="the-key") as fake:
        url = fake.base_url("openai")
        async with AsyncOpenAI(base_url=url, api_key="another", max_retries=0, http_client=plain()) as client:
            with pytest.raises(AuthenticationError) as refused:
                await client.models.list()
            assert refused.value.code == "invalid_api_key"
            assert "another" not in refused.value.message
            assert await client.with_options(api_key="the-key").models.list()
        async with httpx.AsyncClient(verify=False) as bare:
            assert (await bare.get(f"{url}/models")).status_code == 401


async def test_a_closed_list_of_models_refuses_the_others() -> None:
    async with (
        FakeUpstream(models={"openai": ["mine"]}) as fake,
        AsyncOpenAI(base_url=fake.base_url("openai"), api_key="a-key", max_retries=0, http_client=plain()) as client,
    ):
        assert [model.id async for model in client.models.list()] == ["mine"]
        assert await client.chat.completions.create(model="mine", messages=HI)
        with pytest.raises(NotFoundError) as refused:
            await client.chat.completions.create(model="gpt-4o", messages=HI)
        assert refused.value.code == "model_not_found"


async def test_models_are_listed_and_shown(client: AsyncOpenAI) -> None:
    listed = [model.id async for model in client.models.list()]
    assert "gpt-4o" in listed
    assert (await client.models.retrieve("gpt-4o")).owned_by == "openai"
    with pytest.raises(NotFoundError):
        await client.models.retrieve("nobody")


async def test_headers_say_what_is_left(client: AsyncOpenAI) -> None:
    left = []
    for _ in range(2):
        raw = await client.chat.completions.with_raw_response.create(model="gpt-4o", messages=HI)
        left.append(int(raw.headers["x-ratelimit-remaining-requests"]))
    assert left[0] - left[1] == 1
    assert raw.headers["x-request-id"] == "req_fake1"
    assert int(raw.headers["x-ratelimit-limit-tokens"]) > int(raw.headers["x-ratelimit-remaining-tokens"]) > 0


async def test_vectors_are_the_same_in_both_encodings(client: AsyncOpenAI, http: httpx.AsyncClient) -> None:
    packed = await client.embeddings.create(model="text-embedding-3-small", input=["a b", "c"])
    plain = await http.post(
        "/v1/embeddings", json={"model": "text-embedding-3-small", "input": ["a b", "c"], "encoding_format": "float"}
    )
    assert [row.embedding for row in packed.data] == [row["embedding"] for row in plain.json()["data"]]
    assert_embeddings(plain.content)
    assert packed.data[0].embedding != packed.data[1].embedding
    assert len(packed.data[0].embedding) == 1536
    assert sum(number * number for number in packed.data[0].embedding) == pytest.approx(1, abs=1e-5)
    assert packed.usage.prompt_tokens == 3


@pytest.mark.parametrize(
    ("given", "rows", "prompt"), [("a b", 1, 2), ([1, 2, 3], 1, 3), ([[1, 2], [3]], 2, 3), (["a", "b c"], 2, 3)]
)
async def test_every_form_of_input_is_embedded(
    given: Any, rows: int, prompt: int, client: AsyncOpenAI, fake: FakeUpstream
) -> None:
    answer = await client.embeddings.create(model="text-embedding-3-small", input=given, dimensions=4)
    assert [len(row.embedding) for row in answer.data] == [4] * rows
    assert fake.journal[0].charged == Usage(prompt=prompt)


async def test_embeddings_leave_the_script_alone(client: AsyncOpenAI, fake: FakeUpstream) -> None:
    fake.script(Answer(text="for the chat"))
    await client.embeddings.create(model="text-embedding-3-small", input="x")
    answer = await client.chat.completions.create(model="gpt-4o", messages=HI)
    assert answer.choices[0].message.content == "for the chat"


async def test_completions_are_whole_and_streamed(client: AsyncOpenAI, http: httpx.AsyncClient) -> None:
    body = {"model": "gpt-3.5-turbo-instruct", "prompt": "one two three", "max_tokens": 2}
    whole = assert_completion((await http.post("/v1/completions", json=body)).content)
    assert (whole.choices[0].text, whole.choices[0].finish_reason) == ("one two", "length")
    streamed = await chunks(http, "/v1/completions", body | {"stream_options": {"include_usage": True}})
    parsed = [assert_stream_completion(data) for data in streamed]
    assert "".join(choice["text"] for chunk in parsed for choice in chunk["choices"]) == "one two"
    assert [chunk["usage"] for chunk in parsed][:-1] == [None] * (len(parsed) - 1)
    assert parsed[-1]["usage"]["total_tokens"] == 5
    assert whole.usage is not None
    assert whole.usage.total_tokens == 5
    texts = [
        choice.text
        async for chunk in await client.completions.create(model="gpt-3.5-turbo-instruct", prompt="a b", stream=True)
        for choice in chunk.choices
    ]
    assert "".join(texts) == "a b"


def assert_stream_completion(data: bytes) -> dict[str, Any]:
    """A chunk of the text completion stream; only its `finish_reason` may be null, which the whole answer's may not."""
    import msgspec

    chunk: dict[str, Any] = msgspec.json.decode(data)
    whole = {**chunk, "choices": [{**choice, "finish_reason": "stop"} for choice in chunk["choices"]]}
    assert_completion(msgspec.json.encode(whole))
    return chunk


@pytest.mark.parametrize(
    "oddity", ["cr", "crlf", "comments", "empty_data", "second_finish", "usage_last", "usage_twice"]
)
async def test_odd_streams_are_read_the_same_by_a_careful_reader(
    oddity: Any, http: httpx.AsyncClient, fake: FakeUpstream
) -> None:
    body = {"model": "gpt-4o", "messages": HI, "stream": True, "stream_options": {"include_usage": True}}
    plain = await http.post("/v1/chat/completions", json=body)
    fake.script(Answer(text="one two three", oddities=frozenset({oddity})))
    odd = await http.post("/v1/chat/completions", json=body)
    assert odd.content.replace(b"fake1", b"fake0") != plain.content
    splitter = sse.Splitter()
    events = [data for _, data in sse.read(splitter.feed(odd.content) + splitter.finish()) if data]
    *found, end = events
    assert end == b"[DONE]"
    parsed = list(map(assert_chat_chunk, found))
    assert "".join(choice.delta.content or "" for chunk in parsed for choice in chunk.choices) == "one two three"
    usages = [chunk.usage.total_tokens for chunk in parsed if chunk.usage]
    assert usages == [8] * (2 if oddity == "usage_twice" else 1)


async def test_a_byte_order_mark_stands_only_at_the_start(http: httpx.AsyncClient, fake: FakeUpstream) -> None:
    fake.script(Answer(text="a b", oddities=frozenset({"bom"})))
    answer = await http.post("/v1/chat/completions", json={"model": "gpt-4o", "messages": HI, "stream": True})
    assert answer.content.startswith(b"\xef\xbb\xbfdata:")
    assert answer.content.count(b"\xef\xbb\xbf") == 1


async def test_two_runs_give_the_same_bytes(http: httpx.AsyncClient, fake: FakeUpstream) -> None:
    body = {"model": "gpt-4o", "messages": HI, "stream": True}
    first = await http.post("/v1/chat/completions", json=body)
    fake.clear()
    assert (await http.post("/v1/chat/completions", json=body)).content == first.content
