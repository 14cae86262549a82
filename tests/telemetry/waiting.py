"""Waiting for what another thread or process does."""

from __future__ import annotations

from collections.abc import Callable

import anyio


async def until(true: Callable[[], bool], seconds: float = 10) -> None:
    """Lets the loop go on until `true()`. Fails when that takes too long."""
    for _ in range(int(seconds / 0.005)):
        if true():
            return
        await anyio.sleep(0.005)
    raise AssertionError(f"not true after {seconds} s")
