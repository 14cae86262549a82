"""The fake's own counter, and how limits and stop sequences shape an answer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.testing.answers import Answer, Pacing, ToolCall, count, tokens
from headgate.types import Usage


@settings(deadline=None)
@given(st.text())
def test_tokens_joined_are_the_text_and_as_many_as_are_counted(text: str) -> None:
    assert "".join(tokens(text)) == text
    assert sum(count(token) for token in tokens(text)) == count(text)


@settings(deadline=None)
@given(st.text(alphabet="a b\n"), st.integers(0, 9))
def test_no_answer_is_longer_than_its_limit(text: str, limit: int) -> None:
    bounded = Answer(text=text, thinking="x y").bounded(limit)
    assert bounded.completion_tokens <= limit or count(text) == 0 == limit
    assert text.startswith(bounded.text)
    assert (bounded.finish == "length") == (count(text) + 2 > limit)


@pytest.mark.parametrize(
    ("answer", "finish"),
    [
        (Answer(text="x"), "stop"),
        (Answer(tool_calls=(ToolCall("f"),)), "tool_calls"),
        (Answer(refusal="no"), "content_filter"),
        (Answer(text="x", finish="length"), "length"),
    ],
)
def test_the_finish_follows_from_the_rest(answer: Answer, finish: str) -> None:
    assert answer.bounded(None).finish == finish


def test_everything_that_is_said_is_counted() -> None:
    answer = Answer(thinking="a b", text="c", refusal="d", tool_calls=(ToolCall("f", '{"x": 1}'),))
    assert (answer.reasoning_tokens, answer.completion_tokens) == (2, 7)
    assert answer.charge(10, copies=2) == Usage(prompt=10, completion=14, reasoning=4)


@pytest.mark.parametrize(
    ("cached", "written", "expected"), [(2, 1, (2, 1)), (9, 9, (5, 0)), (3, 9, (3, 2)), (0, 0, (0, 0))]
)
def test_cached_tokens_are_part_of_the_prompt(cached: int, written: int, expected: Any) -> None:
    usage = Answer(cached=cached, cache_written=written).charge(5)
    assert (usage.cached, usage.cache_written) == expected


@settings(deadline=None)
@given(st.integers(0, 200), st.integers(0, 20), st.lists(st.integers(0, 300)))
def test_writes_cover_the_body_once(size: int, every: int, at: list[int]) -> None:
    ends = Pacing(split_every=every, split_at=tuple(at)).ends(size, [size])
    assert ends == sorted(set(ends))
    assert ends[-1] == size
