"""Pieces of a streamed answer, from a provider's bytes or from a provider's events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable

import pytest

from headgate.engine.flow import Carried, Told
from headgate.errors import StreamCut, UpstreamFailed, UpstreamTimeout
from headgate.wire.base import Ask, Telling, TextWire, Translation
from headgate.wire.chat import CHAT
from headgate.wire.completions import COMPLETIONS
from headgate.wire.conversation import AnyEvent, Started, Stopped, TextDelta
from headgate.wire.messages import MESSAGES

ASK = Ask(model="m", body=b"{}", fields={}, stream=True)

CHUNK = b'data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[%b]}\n\n'
HELLO = CHUNK % b'{"index":0,"delta":{"role":"assistant","content":"Hello"},"finish_reason":null}'
STOP = CHUNK % b'{"index":0,"delta":{},"finish_reason":"stop"}'
DONE = b"data: [DONE]\n\n"

MESSAGE = [
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant",'
    b'"model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":0}}}\n\n',
    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
    b'"content_block":{"type":"text","text":""}}\n\n',
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"text_delta","text":"Hello"}}\n\n',
    b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n',
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
    b'"usage":{"output_tokens":1}}\n\n',
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
]


class Answer:
    """An open answer whose chunks are given; it then ends, breaks, or stays open for ever."""

    def __init__(self, chunks: Iterable[bytes], then: Exception | None = None, *, stays: bool = False) -> None:
        self.status = 200
        self.headers: dict[bytes, bytes] = {}
        self._chunks = chunks
        self._then = then
        self._stays = stays

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk
        if self._stays:
            await asyncio.Event().wait()
        if self._then is not None:
            raise self._then

    async def read(self) -> bytes:
        raise NotImplementedError


async def pieces(flow: Carried | Told) -> bytes:
    out = b""
    while piece := await flow.next():
        out += piece
    return out


def passage(theirs: TextWire, ours: TextWire) -> Translation:
    return Translation(theirs.reader(), ours.writer(ASK))


async def test_a_whole_stream_passes() -> None:
    flow = Carried(Answer([HELLO, STOP, DONE]), CHAT.passage(ASK))
    assert await pieces(flow) == HELLO + STOP + DONE
    assert flow.failure is None


async def test_a_stream_that_ends_too_soon_is_cut() -> None:
    flow = Carried(Answer([HELLO]), CHAT.passage(ASK))
    assert await pieces(flow) == HELLO
    assert isinstance(flow.failure, StreamCut)


async def test_a_connection_that_breaks_tells_why() -> None:
    flow = Carried(Answer([HELLO], UpstreamTimeout("silence")), CHAT.passage(ASK))
    assert await pieces(flow) == HELLO
    assert isinstance(flow.failure, UpstreamTimeout)


async def test_a_connection_that_breaks_after_the_finish_reason_breaks_nothing() -> None:
    flow = Carried(Answer([HELLO, STOP], UpstreamTimeout("silence")), CHAT.passage(ASK))
    assert await pieces(flow) == HELLO + STOP + DONE
    assert flow.failure is None


async def test_an_error_inside_the_stream_ends_it() -> None:
    flow = Carried(Answer([HELLO, b'data: {"error":{"message":"no"}}\n\n', DONE]), CHAT.passage(ASK))
    assert await pieces(flow) == HELLO
    assert isinstance(flow.failure, UpstreamFailed)


@pytest.mark.parametrize("ours", [CHAT, COMPLETIONS], ids=lambda wire: wire.name)
async def test_a_translated_stream_ends_with_its_own_end_mark_not_with_its_connection(ours: TextWire) -> None:
    flow = Carried(Answer(MESSAGE, stays=True), passage(MESSAGES, ours))
    async with asyncio.timeout(2):
        out = await pieces(flow)
    assert out.endswith(DONE)
    assert flow.failure is None


async def test_a_chat_stream_is_told_as_messages_without_waiting_for_the_connection() -> None:
    flow = Carried(Answer([HELLO, STOP, DONE], stays=True), passage(CHAT, MESSAGES))
    async with asyncio.timeout(2):
        out = await pieces(flow)
    assert b"event: message_stop" in out


async def test_a_lingering_connection_is_left_after_a_moment() -> None:
    flow = Carried(Answer([HELLO, STOP, DONE], stays=True), CHAT.passage(ASK))
    await pieces(flow)
    async with asyncio.timeout(2):
        await flow.linger()


async def test_events_of_a_provider_that_answers_by_itself_are_told() -> None:
    flow = Told(speech(), Telling(CHAT.writer(ASK)))
    out = await pieces(flow)
    assert b'"content":"Hello"' in out
    assert out.endswith(DONE)
    assert (flow.model, flow.pieces) == ("m", 1)


async def test_a_provider_that_fails_in_the_middle_of_its_speech_ends_the_stream() -> None:
    flow = Told(speech(UpstreamFailed("no breath")), Telling(CHAT.writer(ASK)))
    assert not (await pieces(flow)).endswith(DONE)
    assert isinstance(flow.failure, UpstreamFailed)


async def speech(failure: Exception | None = None) -> AsyncGenerator[AnyEvent, None]:
    yield Started("1", "m")
    yield TextDelta("Hello")
    if failure is not None:
        raise failure
    yield Stopped("stop")
