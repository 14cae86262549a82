"""A fake upstream for each test, and raw bytes from it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from headgate.testing import FakeUpstream


@pytest.fixture
async def fake() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream() as fake:
        yield fake


@pytest.fixture
async def http(fake: FakeUpstream) -> AsyncIterator[httpx.AsyncClient]:
    """A plain client of the fake, with a key."""
    headers = {"authorization": "Bearer a-key"}
    async with httpx.AsyncClient(base_url=fake.url, headers=headers, timeout=10, verify=False) as client:
        yield client
