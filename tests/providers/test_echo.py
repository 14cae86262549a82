from __future__ import annotations

from math import isclose, sqrt

import pytest

from headgate.errors import BadRequest
from headgate.providers.echo import DIMENSIONS, NUMBERS_MAX, Echo
from headgate.types import Usage
from headgate.wire.conversation import (
    AnyEvent,
    Conversation,
    Counted,
    Image,
    Message,
    Settings,
    Started,
    Stopped,
    Text,
    TextDelta,
    Tool,
)
from headgate.wire.vectors import EmbeddingRequest

from .configured import configured


async def said(*messages: Message, settings: Settings = Settings(), tools: tuple[Tool, ...] = ()) -> list[AnyEvent]:  # noqa: B008
    conversation = Conversation(model="echo/big", messages=messages, settings=settings, tools=tools)
    return [event async for event in configured(Echo).respond(conversation)]


def user(*texts: str) -> Message:
    return Message("user", tuple(Text(text) for text in texts))


async def test_the_last_users_text_comes_back_word_by_word() -> None:
    system = Message("system", (Text("be brief"),))
    answer = Message("assistant", (Text("yes"),))
    started, *words, stopped, counted = await said(system, user("first"), answer, user("Hello  big\nworld! "), answer)
    assert isinstance(started, Started)
    assert (started.model, bool(started.id), started.created > 0) == ("echo/big", True, True)
    assert words == [TextDelta("Hello"), TextDelta("  big"), TextDelta("\nworld! ")]
    assert stopped == Stopped("stop")
    assert counted == Counted(Usage(prompt=8, completion=3))


async def test_tools_and_pictures_change_nothing() -> None:
    picture = Message("user", (Text("look "), Image(url="https://x.test/a.png"), Text("here")))
    events = await said(picture, tools=(Tool("search"),))
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["look", " here"]


async def test_it_stops_at_the_limit() -> None:
    _, first, stopped, counted = await said(user("one two three"), settings=Settings(max_tokens=1))
    assert (first, stopped) == (TextDelta("one"), Stopped("length"))
    assert counted == Counted(Usage(prompt=3, completion=1))


async def test_every_choice_says_the_same() -> None:
    events = await said(user("hi"), settings=Settings(choices=2))
    assert events[1:] == [
        TextDelta("hi"),
        Stopped("stop"),
        TextDelta("hi", choice=1),
        Stopped("stop", choice=1),
        Counted(Usage(prompt=1, completion=2)),
    ]


@pytest.mark.parametrize("messages", [(), (Message("system", (Text("alone"),)),), (user(""),), (user("  "),)])
async def test_nothing_said_is_an_empty_answer_with_an_end(messages: tuple[Message, ...]) -> None:
    events = await said(*messages)
    assert [type(event) for event in events] == [Started, Stopped, Counted]


def test_vectors_depend_on_the_input_alone_and_have_length_one() -> None:
    first, second = configured(Echo), configured(Echo)
    one = first.embed(EmbeddingRequest("echo", ("a b", "c", (1, 2, 3))))
    two = second.embed(EmbeddingRequest("echo", ("c", "a b")))
    assert one.vectors[:2] == (two.vectors[1], two.vectors[0])
    assert len(set(map(tuple, one.vectors))) == 3
    for vector in one.vectors:
        assert len(vector) == DIMENSIONS
        assert isclose(sqrt(sum(number * number for number in vector)), 1)
    assert one.usage == Usage(prompt=6)
    assert one.model == "echo"


def test_vectors_have_the_length_that_was_asked_for() -> None:
    (vector,) = configured(Echo).embed(EmbeddingRequest("echo", ("a",), dimensions=3)).vectors
    assert len(vector) == 3


@pytest.mark.parametrize(("inputs", "dimensions"), [(1, NUMBERS_MAX + 1), (NUMBERS_MAX // DIMENSIONS + 1, None)])
def test_more_numbers_than_it_makes_are_refused(inputs: int, dimensions: int | None) -> None:
    with pytest.raises(BadRequest, match="at most 1000000 numbers") as refused:
        configured(Echo).embed(EmbeddingRequest("echo", ("a",) * inputs, dimensions=dimensions))
    assert refused.value.param == "input"


def test_it_is_there_without_asking_and_without_a_key() -> None:
    echo = configured(Echo, key=None)
    echo.require(None)
    assert [card.id for card in echo.cards()] == ["echo"]
