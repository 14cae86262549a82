"""Answers that processes share, by name: through Redis (`storage.redis`), or not at all."""

from __future__ import annotations

from typing import Protocol

from headgate.types import Secret

KEPT_S = 86_400
"""How long an answer is kept."""


class Answers(Protocol):
    """Keeps bytes by name for `KEPT_S`. Never fails: what cannot be kept is made again."""

    async def get(self, name: str) -> bytes | None: ...

    async def put(self, name: str, body: bytes) -> None: ...

    async def drop(self, name: str) -> None: ...

    async def close(self) -> None: ...


class Unshared:
    """The answers of a process that is alone: it has what it needs in its own memory."""

    async def get(self, name: str) -> bytes | None:
        return None

    async def put(self, name: str, body: bytes) -> None:
        """There is nobody to keep it for."""

    async def drop(self, name: str) -> None:
        """There is nothing."""

    async def close(self) -> None:
        """There is nothing to leave."""


def answers_at(redis_url: Secret | None) -> Answers:
    """The answers in this Redis, or those of a process that is alone."""
    if redis_url is None:
        return Unshared()
    from headgate.storage.redis import RedisAnswers

    return RedisAnswers(redis_url)
