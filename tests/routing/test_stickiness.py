"""Which requests are of one conversation."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from headgate.routing import stickiness
from headgate.routing.stickiness import Stickiness, conversation_of
from headgate.types import Target
from headgate.wire.openai import open_body

HERE = Target("p", "m")


def named(session: str = "", **fields: object) -> str:
    return conversation_of(session, open_body(msgspec.json.encode(fields)))


def said(*turns: tuple[str, str]) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in turns]


def test_a_session_comes_before_a_cache_key_before_the_words() -> None:
    words = said(("user", "Hello"))
    assert named("s", prompt_cache_key="k", messages=words) == named("s")
    assert named(prompt_cache_key="k", messages=words) == named(prompt_cache_key="k")
    assert len({named("s"), named(prompt_cache_key="s"), named(messages=said(("user", "s")))}) == 3


def test_nothing_to_know_it_by_is_no_conversation() -> None:
    assert named() == named(messages=[]) == named(messages="x") == named(messages=[{"content": "x"}]) == ""
    assert named(prompt_cache_key=None, input="x") == named(prompt_cache_key="") == ""


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_later_turns_belong_to_the_first(system: str, first: str, later: str) -> None:
    begun = said(("system", system), ("user", first))
    assert named(messages=begun) == named(messages=[*begun, *said(("assistant", "x"), ("user", later))])
    assert named(messages=begun) != named(messages=said(("system", system), ("user", first + "!")))


def test_it_is_remembered_for_its_time_and_each_use_begins_it_anew() -> None:
    stays = Stickiness()
    stays.keep("r", "c", HERE, until=10)
    assert stays.find("r", "c", 9.9) == HERE
    assert stays.find("r", "c", 10.0) is None
    assert stays.find("other", "c", 0) is None
    stays.keep("r", "c", HERE, until=20)
    assert stays.find("r", "c", 10.0) == HERE


def test_the_longest_silent_one_is_forgotten_first() -> None:
    stays = Stickiness()
    for number in range(stickiness.REMEMBERED):
        stays.keep("r", str(number), HERE, until=10)
    stays.keep("r", "0", HERE, until=10)
    stays.keep("r", "one more", HERE, until=10)
    assert len(stays) == stickiness.REMEMBERED
    assert stays.find("r", "0", 0) == HERE
    assert stays.find("r", "1", 0) is None
