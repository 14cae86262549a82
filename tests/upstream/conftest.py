"""One suite over both clients."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from headgate.config import Transport
from headgate.upstream.base import Upstream
from headgate.upstream.lean import Lean
from headgate.upstream.proxied import Proxied


@pytest.fixture(params=["lean", "proxied"])
async def upstream(request: pytest.FixtureRequest) -> AsyncIterator[Upstream]:
    client: Upstream = Lean() if request.param == "lean" else Proxied(Transport())
    yield client
    await client.close()


@pytest.fixture
async def lean() -> AsyncIterator[Lean]:
    client = Lean()
    yield client
    await client.close()
