"""What every follower of a stream owes, whatever its dialect."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from headgate.errors import (
    StreamCut,
    UpstreamError,
    UpstreamFailed,
    UpstreamProtocolError,
    UpstreamRateLimited,
)
from headgate.wire.base import Ask, Passage, Reader
from headgate.wire.chat import CHAT
from headgate.wire.completions import COMPLETIONS
from headgate.wire.messages import MESSAGES
from headgate.wire.ollama import OLLAMA

Start = Callable[[], Reader | Passage]
ASK = Ask("m", b"", {}, stream=True)
OPENAI: list[Start] = [
    CHAT.reader,
    COMPLETIONS.reader,
    lambda: CHAT.passage(ASK),
    lambda: COMPLETIONS.passage(ASK),
]
ANTHROPIC: list[Start] = [MESSAGES.reader, lambda: MESSAGES.passage(ASK)]
NATIVE: list[Start] = [OLLAMA.reader, lambda: OLLAMA.passage(ASK)]

OPENAI_BUSY = b'{"error":{"message":"slow down","code":429}}'
OPENAI_DOWN = b'{\n  "error": {\n    "message": "no capacity"\n  }\n}\n'
ANTHROPIC_BUSY = b'{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}'
OPENAI_WHOLE = b'{"choices":[{"index":0,"text":"hi","message":{"content":"hi"},"finish_reason":"stop"}]}'
ANTHROPIC_WHOLE = b'{"type":"message","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn"}'


def followed(start: Start, chunks: list[bytes]) -> tuple[list[object], UpstreamError | None]:
    """What came out, and the failure."""
    follower = start()
    out: list[object] = [part for chunk in chunks for part in follower.feed(chunk)]
    return [*out, *follower.finish()], follower.failure


@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n"])
@pytest.mark.parametrize(
    ("starts", "body", "failure", "said"),
    [
        (OPENAI, OPENAI_BUSY, UpstreamRateLimited, "slow down"),
        (OPENAI, OPENAI_DOWN, UpstreamFailed, "no capacity"),
        (OPENAI, OPENAI_WHOLE, UpstreamProtocolError, "where a stream was asked for"),
        (ANTHROPIC, ANTHROPIC_BUSY, UpstreamRateLimited, "slow down"),
        (ANTHROPIC, ANTHROPIC_WHOLE, UpstreamProtocolError, "where a stream was asked for"),
        (NATIVE, b'{"error":"no capacity"}', UpstreamFailed, "no capacity"),
    ],
)
def test_an_object_instead_of_a_stream_is_told_for_what_it_is(
    starts: list[Start], body: bytes, end: bytes, failure: type[UpstreamError], said: str
) -> None:
    for start in starts:
        for chunks in ([body + end], [body[:9], body[9:] + end]):
            out, failed = followed(start, chunks)
            assert out == []
            assert failed is not None
            assert failed.code == failure.code
            assert said in failed.message


@pytest.mark.parametrize("start", OPENAI + ANTHROPIC + NATIVE)
def test_half_an_object_and_nothing_at_all_are_cuts(start: Start) -> None:
    for body in (b"", b"\n", b'data: {"choices":[', b"data: {}"[:4]):
        out, failed = followed(start, [body])
        assert out == []
        assert type(failed) is StreamCut


@pytest.mark.parametrize("start", OPENAI)
def test_an_object_in_the_middle_of_a_stream_ends_it(start: Start) -> None:
    chunk = b'data: {"choices":[{"index":0,"text":"x","delta":{"content":"x"}}]}\n\n'
    out, failed = followed(start, [chunk, chunk + OPENAI_BUSY + b"\n\n" + chunk])
    assert out
    assert type(failed) is UpstreamRateLimited


@pytest.mark.parametrize("start", OPENAI)
def test_the_end_mark_is_the_providers_word_even_without_a_reason(start: Start) -> None:
    follower = start()
    out = follower.feed(b'data: {"choices":[{"index":0,"text":"x","delta":{"content":"x"}}]}\n\ndata: [DONE]\n\n')
    assert out
    assert follower.ended
    assert follower.failure is None


@pytest.mark.parametrize("start", OPENAI)
def test_an_end_mark_alone_is_no_answer(start: Start) -> None:
    out, failed = followed(start, [b"data: [DONE]\n\n"])
    assert out == []
    assert type(failed) is UpstreamProtocolError
