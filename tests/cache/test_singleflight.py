"""Equal requests at once are one, however the first of them ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from headgate.cache.memory import MemoryShelf
from headgate.cache.shared import SharedShelf
from headgate.cache.shelf import Kept, Shelf
from headgate.cache.singleflight import Flight, ResponseCache
from headgate.cache.wishes import ANY, Wish
from headgate.errors import BadRequest, ClientLeft, DeadlinePassed, HeadgateError, UpstreamFailed
from headgate.storage import redis as redis_file
from headgate.storage.redis import RedisValues
from headgate.types import Secret
from tests.cache.answers import ROOMY, kept
from tests.needs import needs_redis

QUESTION = b"q" * 32


@pytest.fixture(params=["memory", "redis"])
async def shelf(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shelf]:
    monkeypatch.setattr(redis_file, "ANSWER_S", 10.0)
    shelf: Shelf = MemoryShelf(ROOMY)
    if request.param == "redis":
        shelf = SharedShelf(ROOMY, RedisValues(Secret(needs_redis())), f"test-{uuid4().hex}")
    yield shelf
    await shelf.stop()


class Provider:
    """Answers when it is let, or fails once; counts how often it is asked."""

    def __init__(self, cache: ResponseCache) -> None:
        self.cache = cache
        self.asked = 0
        self.called = asyncio.Event()
        self.go = asyncio.Event()
        self.answer = kept(b"the answer", QUESTION)
        self.error: Exception | None = None

    async def serve(self, wish: Wish = ANY) -> bytes:
        """One request: a kept answer, or one that the provider gives."""
        found = await self.cache.seek(QUESTION, wish)
        if isinstance(found, Kept):
            return found.body
        try:
            await self.ask(found)
        except BaseException as error:
            await found.leave(error)
            raise
        await found.leave(None)
        return self.answer.body

    async def ask(self, flight: Flight) -> None:
        self.asked += 1
        self.called.set()
        await self.go.wait()
        error, self.error = self.error, None
        if error is not None:
            raise error
        await flight.keep(self.answer)


@pytest.fixture
def provider(shelf: Shelf) -> Provider:
    return Provider(ResponseCache(shelf))


async def test_a_thousand_at_once_are_one_call(provider: Provider) -> None:
    requests = [asyncio.create_task(provider.serve()) for _ in range(1000)]
    await provider.called.wait()
    provider.go.set()
    assert set(await asyncio.gather(*requests)) == {b"the answer"}
    assert provider.asked == 1
    assert await provider.serve() == b"the answer"
    assert provider.asked == 1


async def test_two_processes_that_share_a_shelf_are_one_call(shelf: Shelf) -> None:
    one, other = Provider(ResponseCache(shelf)), Provider(ResponseCache(shelf))
    other.go.set()
    first = asyncio.create_task(one.serve())
    await one.called.wait()
    second = asyncio.create_task(other.serve())
    one.go.set()
    assert set(await asyncio.gather(first, second)) == {b"the answer"}
    assert (one.asked, other.asked) == (1, 0)


async def test_when_the_first_leaves_the_next_asks_and_nobody_fails(provider: Provider) -> None:
    first = asyncio.create_task(provider.serve())
    await provider.called.wait()
    others = [asyncio.create_task(provider.serve()) for _ in range(50)]
    await asyncio.sleep(0)
    first.cancel(ClientLeft.code)
    with pytest.raises(asyncio.CancelledError):
        await first
    provider.go.set()
    assert set(await asyncio.gather(*others)) == {b"the answer"}
    assert provider.asked == 2


@pytest.mark.parametrize("fault", [DeadlinePassed("too slow for me"), BadRequest("my own header is wrong")], ids=repr)
async def test_what_the_first_alone_is_at_fault_for_fails_nobody_else(provider: Provider, fault: HeadgateError) -> None:
    provider.error = fault
    first = asyncio.create_task(provider.serve())
    await provider.called.wait()
    others = [asyncio.create_task(provider.serve()) for _ in range(50)]
    await asyncio.sleep(0)
    provider.go.set()
    with pytest.raises(type(fault)):
        await first
    assert set(await asyncio.gather(*others)) == {b"the answer"}
    assert provider.asked == 2


async def test_one_that_waits_may_leave(provider: Provider) -> None:
    first = asyncio.create_task(provider.serve())
    await provider.called.wait()
    waiting = asyncio.create_task(provider.serve())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    provider.go.set()
    assert await first == b"the answer"


async def test_who_waits_for_another_process_may_leave(shelf: Shelf) -> None:
    one, other = Provider(ResponseCache(shelf)), Provider(ResponseCache(shelf))
    first = asyncio.create_task(one.serve())
    await one.called.wait()
    leaving = asyncio.create_task(other.serve())
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    staying = asyncio.create_task(other.serve())
    one.go.set()
    async with asyncio.timeout(10):
        assert set(await asyncio.gather(first, staying)) == {b"the answer"}
    assert other.asked == 0


async def test_those_who_wait_share_a_failure_and_the_next_tries_again(provider: Provider) -> None:
    provider.error = UpstreamFailed("it fell over", upstream_status=500)
    requests = [asyncio.create_task(provider.serve()) for _ in range(50)]
    await provider.called.wait()
    provider.go.set()
    outcomes = await asyncio.gather(*requests, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {UpstreamFailed}
    assert provider.asked == 1
    assert await provider.serve() == b"the answer"
    assert provider.asked == 2


async def test_what_cannot_be_kept_is_asked_for_by_each_at_once(provider: Provider) -> None:
    provider.answer = kept(b"a guess", QUESTION, estimated=True)
    requests = [asyncio.create_task(provider.serve()) for _ in range(20)]
    await provider.called.wait()
    provider.go.set()
    assert set(await asyncio.gather(*requests)) == {b"a guess"}
    assert provider.asked == 20


async def test_an_answer_may_be_too_old(provider: Provider) -> None:
    provider.go.set()
    provider.answer = kept(b"old", QUESTION, age_s=30)
    assert await provider.serve() == b"old"
    assert await provider.serve(Wish(max_age_s=60)) == b"old"
    assert provider.asked == 1
    provider.answer = kept(b"new", QUESTION)
    assert await provider.serve(Wish(max_age_s=20)) == b"new"
    assert await provider.serve() == b"new"
    assert provider.asked == 2


async def test_a_new_answer_may_be_wished_and_replaces_the_old(provider: Provider) -> None:
    provider.go.set()
    assert await provider.serve() == b"the answer"
    provider.answer = kept(b"newer", QUESTION)
    assert await provider.serve(Wish(max_age_s=0)) == b"newer"
    assert await provider.serve() == b"newer"
    assert provider.asked == 2


async def test_two_who_wish_a_new_answer_get_two(provider: Provider) -> None:
    provider.answer = kept(b"new", QUESTION, age_s=-60)
    requests = [asyncio.create_task(provider.serve(Wish(max_age_s=0))) for _ in range(2)]
    provider.go.set()
    await asyncio.gather(*requests)
    assert provider.asked == 2
