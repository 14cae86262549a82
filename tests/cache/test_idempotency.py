"""What a second request with the same idempotency key gets."""

from __future__ import annotations

import asyncio

import pytest

from headgate.cache.idempotency import Claim, Idempotency
from headgate.cache.memory import MemoryShelf
from headgate.cache.shelf import Kept
from headgate.errors import BadRequest, KeyUsedOtherwise, StillRunning
from tests.cache.answers import ROOMY, kept

ONE, OTHER = b"1" * 32, b"2" * 32


@pytest.fixture
def keys() -> Idempotency:
    return Idempotency(MemoryShelf(ROOMY))


async def answer(keys: Idempotency, tenant: str = "a", key: bytes = b"k", question: bytes = ONE) -> Kept | None:
    """Makes a request that is answered; returns what was kept of an earlier one."""
    found = await keys.seek(tenant, key, question)
    if isinstance(found, Claim):
        await found.keep(kept(b"the answer", question))
        await found.leave(None)
        return None
    return found


async def test_the_second_gets_the_answer_of_the_first(keys: Idempotency) -> None:
    assert await answer(keys) is None
    found = await answer(keys)
    assert found is not None
    assert found.body == b"the answer"


async def test_while_it_runs_others_are_told_so(keys: Idempotency) -> None:
    assert isinstance(await keys.seek("a", b"k", ONE), Claim)
    with pytest.raises(StillRunning):
        await answer(keys)
    with pytest.raises(KeyUsedOtherwise):
        await answer(keys, question=OTHER)
    assert await answer(keys, key=b"another") is None
    assert await answer(keys, tenant="b", question=OTHER) is None


async def test_a_key_belongs_to_one_question(keys: Idempotency) -> None:
    await answer(keys)
    with pytest.raises(KeyUsedOtherwise):
        await answer(keys, question=OTHER)


async def test_a_key_is_free_again_after_a_failure_and_after_a_cancel(keys: Idempotency) -> None:
    for error in (ValueError(), asyncio.CancelledError()):
        claim = await keys.seek("a", b"k", OTHER)
        assert isinstance(claim, Claim)
        await claim.leave(error)
    assert await answer(keys) is None


class Late(MemoryShelf):
    """An answer comes just before a claim is made."""

    async def claim(self, key: str, mark: bytes) -> bytes | None:
        await self.put(key, kept(b"just in time", ONE))
        return await super().claim(key, mark)


async def test_an_answer_that_comes_between_the_look_and_the_claim_is_found() -> None:
    keys = Idempotency(Late(ROOMY))
    found = await answer(keys)
    assert found is not None
    assert found.body == b"just in time"
    with pytest.raises(KeyUsedOtherwise):
        await answer(Idempotency(Late(ROOMY)), question=OTHER)


@pytest.mark.parametrize("key", [b"", b"x" * 256, b"tab\there", "grüße".encode(), b"\x7f"])
async def test_what_is_no_key_is_refused(keys: Idempotency, key: bytes) -> None:
    with pytest.raises(BadRequest) as caught:
        await answer(keys, key=key)
    assert caught.value.param == "Idempotency-Key"


class Slow(MemoryShelf):
    """Waits where an answer is looked for a second time: there a caller may leave."""

    def __init__(self) -> None:
        super().__init__(ROOMY)
        self.looks = 0
        self.waiting = asyncio.Event()

    async def get(self, key: str) -> Kept | None:
        self.looks += 1
        if self.looks == 2:
            self.waiting.set()
            await asyncio.Event().wait()
        return await super().get(key)


async def test_who_leaves_while_it_is_looked_for_sets_the_key_free() -> None:
    shelf = Slow()
    keys = Idempotency(shelf)
    leaving = asyncio.create_task(answer(keys))
    async with asyncio.timeout(5):
        await shelf.waiting.wait()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert await answer(keys) is None
