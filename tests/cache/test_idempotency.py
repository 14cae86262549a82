"""What a second request with the same idempotency key gets."""

from __future__ import annotations

import asyncio
from contextlib import suppress

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
    async with keys.turn(tenant, key, question) as found:
        if isinstance(found, Kept):
            return found
        assert isinstance(found, Claim)
        await found.keep(kept(b"the answer", question))
        return None


async def test_the_second_gets_the_answer_of_the_first(keys: Idempotency) -> None:
    assert await answer(keys) is None
    found = await answer(keys)
    assert found is not None
    assert found.body == b"the answer"


async def test_while_it_runs_others_are_told_so(keys: Idempotency) -> None:
    async with keys.turn("a", b"k", ONE):
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
    for error in (ValueError, asyncio.CancelledError):
        with suppress(error):
            async with keys.turn("a", b"k", OTHER):
                raise error
    assert await answer(keys) is None


@pytest.mark.parametrize("key", [b"", b"x" * 256, b"tab\there", "grüße".encode(), b"\x7f"])
async def test_what_is_no_key_is_refused(keys: Idempotency, key: bytes) -> None:
    with pytest.raises(BadRequest) as caught:
        await answer(keys, key=key)
    assert caught.value.param == "Idempotency-Key"
