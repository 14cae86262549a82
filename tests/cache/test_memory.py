"""The shelf of one process keeps within its bounds."""

from __future__ import annotations

from headgate.cache.memory import MemoryShelf
from headgate.cache.shelf import OVERHEAD_BYTES, Bounds
from tests.cache.answers import ROOMY, kept


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_an_answer_stands_until_its_time_is_over() -> None:
    clock = Clock()
    shelf = MemoryShelf(Bounds(60, 1024 * 1024, 10), clock)
    await shelf.put("a", kept(b"one"))
    clock.now = 59.9
    found = await shelf.get("a")
    assert found is not None
    assert found.body == b"one"
    clock.now = 60
    assert await shelf.get("a") is None
    assert (len(shelf), shelf.size) == (0, 0)


async def test_what_was_not_asked_for_the_longest_goes_first() -> None:
    shelf = MemoryShelf(Bounds(60, 1024 * 1024, 3))
    for key in "abc":
        await shelf.put(key, kept())
    await shelf.get("a")
    await shelf.put("d", kept())
    assert [await shelf.get(key) is not None for key in "abcd"] == [True, False, True, True]


async def test_bytes_are_bounded_and_counted() -> None:
    one = kept(b"x" * 1000)
    shelf = MemoryShelf(Bounds(60, one.size * 16, 1000))
    for number in range(100):
        await shelf.put(str(number), one)
        assert shelf.size <= one.size * 16
    assert (len(shelf), shelf.size) == (16, one.size * 16)
    await shelf.put("99", kept())
    assert shelf.size == one.size * 15 + OVERHEAD_BYTES + 2


async def test_an_answer_above_an_eighth_is_not_kept() -> None:
    shelf = MemoryShelf(Bounds(60, 80_000, 1000))
    await shelf.put("small", kept())
    await shelf.put("large", kept(b"x" * 10_000))
    assert await shelf.get("large") is None
    assert await shelf.get("small") is not None


async def test_only_the_first_claims_and_only_it_releases() -> None:
    shelf = MemoryShelf(ROOMY)
    assert await shelf.claim("a", b"first") is None
    assert await shelf.claim("a", b"second") == b"first"
    await shelf.release("a", b"second")
    assert await shelf.claim("a", b"third") == b"first"
    await shelf.release("a", b"first")
    assert await shelf.claim("a", b"fourth") is None
