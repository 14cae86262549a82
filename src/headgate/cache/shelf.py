"""What is kept of an answer, and where answers stand: the words that the room's files share."""

from __future__ import annotations

from typing import Protocol

import msgspec

OVERHEAD_BYTES = 1024
"""What an answer takes besides its body, about."""


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """A whole answer, as its caller got it. `media_type` is a stream's own, empty where the answer is one body.

    `question` is the fingerprint of the request that it answers, `at_s` the epoch second when it was whole, `estimated`
    says that its provider reported no usage.
    """

    question: bytes
    at_s: float
    media_type: str
    body: bytes
    model: str
    provider: str
    dropped: tuple[str, ...] = ()
    estimated: bool = False

    @property
    def size(self) -> int:
        return len(self.body) + OVERHEAD_BYTES


class Bounds(msgspec.Struct, frozen=True):
    """How long an answer stands, how many of them, and how many bytes of them in all."""

    ttl_s: float
    max_bytes: int
    max_entries: int

    @property
    def limit(self) -> int:
        """The largest answer: an eighth of the whole, so that no single one clears the shelf."""
        return self.max_bytes // 8


class Shelf(Protocol):
    """Answers by key, and claims: who is about to bring one. Never fails for its own reasons."""

    bounds: Bounds

    async def get(self, key: str) -> Kept | None: ...

    async def put(self, key: str, kept: Kept) -> None: ...

    async def claim(self, key: str, mark: bytes) -> bytes | None:
        """Puts a mark where there is none, and returns nothing; else returns the mark that is there."""
        ...

    async def release(self, key: str, mark: bytes) -> None:
        """Takes a mark away, if it is still there."""
        ...

    async def stop(self) -> None: ...
