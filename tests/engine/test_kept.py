"""Answers that are made once for each state of the catalogue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from uuid import uuid4

import pytest

from headgate.engine import kept
from headgate.engine.kept import KeptAnswers
from headgate.routing.catalogue import Catalogue
from headgate.routing.whitelist import Everything
from headgate.storage.answers import KEPT_S, Answers, Unshared
from headgate.storage.bus import LocalBus
from headgate.storage.redis import RedisAnswers
from headgate.types import ModelCard, Secret
from tests.needs import needs_redis

NAMES = count(1)


def catalogue(model: str) -> Catalogue:
    known = Catalogue(["openrouter"], {}, (), {})
    known.learn("openrouter", [ModelCard(id=model, provider="openrouter", fetched_us=next(NAMES))])
    return known


class Maker:
    """Makes another answer each time."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> bytes:
        self.times += 1
        return b"answer %d" % self.times


@pytest.fixture(params=["alone", "redis"])
async def answers(request: pytest.FixtureRequest) -> AsyncIterator[Answers]:
    answers = Unshared() if request.param == "alone" else RedisAnswers(Secret(needs_redis()))
    yield answers
    await answers.close()


@pytest.fixture
def model(tmp_path: Path) -> str:
    """A name that no other test's catalogue has: what Redis keeps is shared by all."""
    return f"{tmp_path}/{uuid4().hex}"


async def test_an_answer_is_made_once_for_one_state(answers: Answers, model: str) -> None:
    keeping, make = KeptAnswers(catalogue(model), answers, LocalBus()), Maker()
    assert [await keeping.answer("models", make) for _ in range(3)] == [b"answer 1"] * 3
    keeping.catalogue.learn("openrouter", [ModelCard(id=f"{model}/more", provider="openrouter")])
    assert await keeping.answer("models", make) == b"answer 2"
    assert await keeping.answer("models_complete", make) == b"answer 3"


async def test_many_who_ask_at_once_have_one_made(answers: Answers, model: str) -> None:
    keeping, make = KeptAnswers(catalogue(model), answers, LocalBus()), Maker()
    assert await asyncio.gather(*(keeping.answer("models", make) for _ in range(20))) == [b"answer 1"] * 20


async def test_an_answer_is_dropped_by_its_name(answers: Answers, model: str) -> None:
    bus = LocalBus()
    keeping, make = KeptAnswers(catalogue(model), answers, bus), Maker()
    await keeping.start()
    await keeping.answer("models", make)
    await keeping.answer("whitelist", make)
    await bus.publish("models")
    assert await keeping.answer("models", make) == b"answer 3"
    assert await keeping.answer("whitelist", make) == b"answer 2"


async def test_an_answer_is_made_again_after_a_day(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keeping, make = KeptAnswers(catalogue(model), Unshared(), LocalBus()), Maker()
    assert KEPT_S == 86_400
    await keeping.answer("models", make)
    later = kept.monotonic() + KEPT_S
    monkeypatch.setattr(kept, "monotonic", lambda: later - 1)
    assert await keeping.answer("models", make) == b"answer 1"
    monkeypatch.setattr(kept, "monotonic", lambda: later + 1)
    assert await keeping.answer("models", make) == b"answer 2"


async def test_processes_of_one_state_share_an_answer_and_of_two_none(model: str) -> None:
    shared, make = [RedisAnswers(Secret(needs_redis())) for _ in range(3)], Maker()
    one, same, other = (
        KeptAnswers(catalogue(name), answers, LocalBus())
        for name, answers in zip((model, model, f"{model}/2"), shared, strict=True)
    )
    assert await one.answer("models", make) == await same.answer("models", make) == b"answer 1"
    assert await other.answer("models", make) == b"answer 2"
    same.catalogue.restrict(Everything())
    assert await same.answer("models", make) == b"answer 1"
    for answers in shared:
        await answers.close()


async def test_what_redis_keeps_ends_after_a_day(model: str) -> None:
    from redis.asyncio import Redis

    answers = RedisAnswers(Secret(needs_redis()))
    await answers.put(f"headgate-test:{model}", b"answer")
    plain = Redis.from_url(needs_redis())
    assert KEPT_S - 60 < await plain.ttl(f"headgate-test:{model}") <= KEPT_S
    await answers.drop(f"headgate-test:{model}")
    assert await answers.get(f"headgate-test:{model}") is None
    await plain.aclose()
    await answers.close()


async def test_a_redis_that_is_away_only_costs_the_sharing(model: str) -> None:
    answers = RedisAnswers(Secret("redis://127.0.0.1:9/0"))
    keeping, make = KeptAnswers(catalogue(model), answers, LocalBus()), Maker()
    assert await keeping.answer("models", make) == b"answer 1"
    await keeping.drop("models")
    assert await keeping.answer("models", make) == b"answer 2"
    await answers.close()
