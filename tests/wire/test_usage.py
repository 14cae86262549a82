"""Usage objects that no honest provider writes, and pieces however a stream is cut."""

from __future__ import annotations

import pytest

from headgate.errors import UpstreamError
from headgate.types import Usage
from headgate.wire.base import Ask
from headgate.wire.chat import CHAT
from headgate.wire.usage import COUNT_MAX, read_usage


@pytest.mark.parametrize("cost", [b"1e400000", b"1e5000000", b'"NaN"', b'"Infinity"', b"-1", b"1e12"])
def test_a_cost_that_is_no_price_is_unknown(cost: bytes) -> None:
    usage = read_usage(b'{"prompt_tokens":1,"completion_tokens":2,"cost":%b}' % cost)
    assert usage is None or usage.cost_nano is None


def test_a_cost_is_kept_to_the_nanodollar() -> None:
    assert read_usage(b'{"prompt_tokens":1,"cost":0.000123456}') == Usage(prompt=1, cost_nano=123_456)


def test_a_count_that_no_column_holds_is_bounded() -> None:
    usage = read_usage(b'{"prompt_tokens":99999999999999999999999}')
    assert usage is None or usage.prompt <= COUNT_MAX


CHUNK = b'data: {"id":"1","model":"m","choices":[{"index":0,"delta":{"content":"data: x"},"finish_reason":null}]}\n\n'


@pytest.mark.parametrize("every", [1, 7, 50, 10_000])
def test_pieces_are_the_same_for_every_split_and_comments_are_none(every: int) -> None:
    stream = (CHUNK + b": keep-alive\n\n") * 4
    passage = CHAT.passage(Ask(model="m", body=b"", fields={}, stream=True))
    for start in range(0, len(stream), every):
        passage.feed(stream[start : start + every])
    assert passage.pieces == 4


@pytest.mark.parametrize(
    "body",
    [
        b'{"choices":[]}',
        b'{"choices": [ ] ,"usage":null}',
        b'{"choices":[{"index":0,"finish_reason": "error","message":{"content":"Hel"}}]}',
    ],
)
def test_a_whole_answer_with_no_answer_in_it_is_a_failure(body: bytes) -> None:
    with pytest.raises(UpstreamError):
        CHAT.look(body)


def test_a_text_about_errors_is_no_failure() -> None:
    body = b'{"choices":[{"index":0,"finish_reason":"stop","message":{"content":"\\"finish_reason\\":\\"error\\""}}]}'
    assert CHAT.look(body).usage is None
