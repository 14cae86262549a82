"""A client that is closed when its test is over."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from headgate.upstream.lean import Lean


@pytest.fixture
async def client() -> AsyncIterator[Lean]:
    client = Lean()
    yield client
    await client.close()
