from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import httpx
import pytest

from headgate.config import ProviderSettings, Timeouts
from headgate.errors import (
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamFailed,
    UpstreamProtocolError,
    UpstreamRateLimited,
    UpstreamTimeout,
)
from headgate.plugins import (
    ChatCompletionRequest,
    ChatCompletionResponse,
    ChatCompletionStreamResponse,
    LLMProvider,
    LLMProviderFactory,
)
from headgate.providers.plugin import Plugin
from headgate.types import Secret, Usage
from headgate.wire.conversation import (
    AnyEvent,
    ArgumentsDelta,
    Conversation,
    Counted,
    Message,
    Settings,
    Started,
    Stopped,
    Text,
    TextDelta,
    Tool,
    ToolCallStarted,
)

from .configured import KEY

QUICK = Timeouts(first_byte_s=0.05, idle_s=0.05, total_s=5)


class Scripted(LLMProvider):
    """Answers with what it was given: an answer, an exception, a list of chunks, or a coroutine function."""

    def __init__(self, script: Any) -> None:
        super().__init__()
        self.script = script
        self.seen: list[ChatCompletionRequest] = []

    async def chat_completion(self, request: ChatCompletionRequest) -> ChatCompletionResponse:
        self.seen.append(request)
        if isinstance(self.script, Exception):
            raise self.script
        return await self.script() if callable(self.script) else self.script  # type: ignore[no-any-return]

    async def chat_completion_stream(
        self, request: ChatCompletionRequest
    ) -> AsyncGenerator[ChatCompletionStreamResponse, None]:
        self.seen.append(request)
        for step in self.script:
            if isinstance(step, Exception):
                raise step
            if callable(step):
                await step()
            else:
                yield step


def plugin(script: Any, timeouts: Timeouts = QUICK) -> Plugin:
    settings = ProviderSettings("mine", "plugin", "", key=Secret(KEY), timeouts=timeouts)
    return Plugin(settings, script if isinstance(script, LLMProvider) else Scripted(script))


async def answer(script: Any, *, stream: bool = False, **asked: Any) -> list[AnyEvent]:
    conversation = Conversation(model="mine-1", messages=(Message("user", (Text("hi"),)),), stream=stream, **asked)
    return [event async for event in plugin(script).respond(conversation)]


async def failure(script: Any, *, stream: bool = False) -> UpstreamError:
    with pytest.raises(UpstreamError) as raised:
        async with asyncio.timeout(2):
            await answer(script, stream=stream)
    assert KEY not in f"{raised.value.message}{raised.value!r}"
    assert "mine" in raised.value.message
    return raised.value


def whole(content: str | None = "Hello", **message: Any) -> dict[str, Any]:
    said = {"role": "assistant", "content": content, **message}
    return {
        "id": "c1",
        "created": 7,
        "model": "mine-1b",
        "choices": [{"index": 0, "message": said, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }


def chunk(content: str | None = None, finish: str | None = None) -> ChatCompletionStreamResponse:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish}
    return ChatCompletionStreamResponse.model_validate(
        {"id": "c1", "created": 7, "model": "mine-1b", "choices": [choice]}
    )


async def test_a_whole_answer_becomes_events_with_its_usage() -> None:
    for script in (whole(), ChatCompletionResponse.model_validate(whole())):
        events = await answer(script)
        assert events == [
            Started("c1", "mine-1b", 7),
            TextDelta("Hello"),
            Stopped("stop"),
            Counted(Usage(prompt=3, completion=2)),
        ]


async def test_a_stream_becomes_the_same_events() -> None:
    events = await answer([chunk("Hel"), chunk("lo"), chunk(finish="length")], stream=True)
    assert events == [Started("c1", "mine-1b", 7), TextDelta("Hel"), TextDelta("lo"), Stopped("length")]


async def test_tool_calls_of_a_whole_answer_are_told_with_their_places() -> None:
    calls = [
        {"id": f"t{number}", "type": "function", "function": {"name": "look", "arguments": f'{{"at": {number}}}'}}
        for number in (1, 2)
    ]
    body = whole(None, tool_calls=calls)
    body["choices"][0]["finish_reason"] = "tool_calls"
    events = await answer(body)
    assert [event for event in events if isinstance(event, ToolCallStarted)] == [
        ToolCallStarted(0, "t1", "look"),
        ToolCallStarted(1, "t2", "look"),
    ]
    assert [event for event in events if isinstance(event, ArgumentsDelta)] == [
        ArgumentsDelta(0, '{"at": 1}'),
        ArgumentsDelta(1, '{"at": 2}'),
    ]
    assert Stopped("tool_calls") in events


async def test_the_plug_in_gets_the_whole_request() -> None:
    script = Scripted([chunk("x", "stop")])
    await answer(script, stream=True, settings=Settings(temperature=0.5, seed=4), tools=(Tool("look"),))
    (request,) = script.seen
    assert (request.model, request.stream, request.temperature) == ("mine-1", True, 0.5)
    assert [(message.role, message.content) for message in request.messages] == [("user", "hi")]
    assert request.tools is not None
    assert request.tools[0]["function"]["name"] == "look"
    assert request.model_extra is not None
    assert request.model_extra["seed"] == 4


async def test_what_a_plug_in_raises_is_its_failure_and_hides_the_key() -> None:
    for stream, script in ((False, ValueError(f"no {KEY}")), (True, [ValueError(f"no {KEY}")])):
        error = await failure(script, stream=stream)
        assert type(error) is UpstreamFailed
        assert error.message == "the plug-in `mine` failed: ValueError: no ****"


async def test_an_http_clients_error_is_read_as_the_answer_it_carries() -> None:
    def refused(status: int, **headers: str) -> httpx.HTTPStatusError:
        request = httpx.Request("POST", "https://x.test")
        return httpx.HTTPStatusError(
            "no", request=request, response=httpx.Response(status, headers=headers, request=request)
        )

    assert type(await failure(refused(401))) is UpstreamAuthFailed
    limited = await failure(refused(429, **{"Retry-After": "4"}))
    assert type(limited) is UpstreamRateLimited
    assert limited.retry_after_s == 4


async def test_an_error_of_our_own_family_keeps_its_kind() -> None:
    assert type(await failure(UpstreamRateLimited("slowly", upstream_status=429))) is UpstreamRateLimited


@pytest.mark.parametrize("junk", [None, "text", 4, {}, {"choices": [{}]}, [], object()])
async def test_junk_instead_of_an_answer_is_a_failure(junk: object) -> None:
    error = await failure(junk)
    assert type(error) is UpstreamProtocolError
    assert "ChatCompletionResponse was expected" in error.message


@pytest.mark.parametrize("junk", [None, "text", {"choices": 4}])
async def test_junk_in_a_stream_is_a_failure(junk: object) -> None:
    assert type(await failure([chunk("a"), junk], stream=True)) is UpstreamProtocolError


async def test_a_stream_method_that_does_not_yield_is_a_failure() -> None:
    class Forgetful(Scripted):
        async def chat_completion_stream(self, request: ChatCompletionRequest) -> None:  # type: ignore[override]
            pass

    error = await failure(Forgetful([]), stream=True)
    assert "gave NoneType where an async generator" in error.message


async def test_a_stream_of_nothing_is_a_failure() -> None:
    assert type(await failure([], stream=True)) is UpstreamProtocolError


async def forever() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("script", "stream"),
    [(forever, False), ([forever], True), ([chunk("a"), forever], True)],
    ids=["whole", "first", "idle"],
)
async def test_a_plug_in_that_hangs_is_given_up(script: Any, stream: bool) -> None:
    assert type(await failure(script, stream=stream)) is UpstreamTimeout


async def test_the_whole_answer_has_a_limit_too() -> None:
    steps: list[Any] = [item for _ in range(50) for item in (chunk("a"), lambda: asyncio.sleep(0.01))]
    mine = plugin(steps, Timeouts(first_byte_s=5, idle_s=5, total_s=0.05))
    with pytest.raises(UpstreamTimeout):
        async for _ in mine.respond(Conversation("m", (Message("user", (Text("hi"),)),), stream=True)):
            pass


class Held(Scripted):
    """Streams without end, and says when it was let go of."""

    def __init__(self, leave: Callable[[], None]) -> None:
        super().__init__([])
        self.leave = leave

    async def chat_completion_stream(
        self, request: ChatCompletionRequest
    ) -> AsyncGenerator[ChatCompletionStreamResponse, None]:
        try:
            while True:
                yield chunk("a")
        finally:
            self.leave()


async def left_early(held: Held) -> None:
    conversation = Conversation("m", (Message("user", (Text("hi"),)),), stream=True)
    async with aclosing(plugin(held).respond(conversation)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break


async def test_a_caller_that_leaves_closes_the_plug_ins_stream() -> None:
    left = asyncio.Event()
    await left_early(Held(left.set))
    assert left.is_set()


async def test_a_plug_in_that_fails_when_it_is_left_is_told_to_the_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    def leave() -> None:
        raise ValueError(f"no {KEY}")

    with caplog.at_level(logging.WARNING):
        await left_early(Held(leave))
    assert "the plug-in `mine` failed: ValueError: no ****" in caplog.text


def test_only_a_provider_class_can_be_registered() -> None:
    with pytest.raises(TypeError, match="is no LLMProvider"):
        LLMProviderFactory.register("x")(object)  # type: ignore[type-var]


def test_the_steps_of_a_plug_in_have_plain_defaults() -> None:
    mine = Scripted(None)
    request = ChatCompletionRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
    assert mine.prepare_headers() == {}
    assert mine.prepare_payload(request)["messages"] == [{"role": "user", "content": "hi"}]
    assert mine.process_response(whole()).choices[0].message.content == "Hello"
    with pytest.raises(NotImplementedError, match="Scripted does not read streams"):
        mine.process_stream_response(None)
