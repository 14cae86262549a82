"""Real clients in front of the whole gateway; what they received is judged after each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest
from openai import AsyncOpenAI, OpenAI

from headgate.testing import FakeUpstream
from headgate.testing.gateway import RunningGateway, running
from tests.clients.judge import AsyncWatching, Passed, Watching
from tests.conftest import environ_for, settings_for


@pytest.fixture
def passed() -> Iterator[list[Passed]]:
    """The answers of this test, judged at its end; a test that received none fails."""
    noted: list[Passed] = []
    yield noted
    assert noted, "no answer came by"
    for answer in noted:
        answer.judge()


@pytest.fixture
def watched(passed: list[Passed]) -> Iterator[httpx2.Client]:
    with httpx2.Client(transport=Watching(passed), timeout=20) as client:
        yield client


@pytest.fixture
async def async_watched(passed: list[Passed]) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(transport=AsyncWatching(passed), timeout=20) as client:
        yield client


@pytest.fixture
def client(gateway: RunningGateway, watched: httpx2.Client) -> OpenAI:
    return OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0, http_client=watched)


@pytest.fixture
def async_client(gateway: RunningGateway, async_watched: httpx2.AsyncClient) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0, http_client=async_watched)


@pytest.fixture(scope="session")
def readme_gateway(one_fake: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway with the key that seed 001's README prints."""
    environ = environ_for(one_fake) | {"API_KEYS": "test-key"}
    with running(tmp_path_factory.mktemp("readme"), environ, settings_for(one_fake)) as started:
        yield started


@pytest.fixture(scope="session")
def open_gateway(one_fake: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway that asks for no key, as seed 004's README has it."""
    environ = environ_for(one_fake) | {"AUTH_MODE": "open"}
    with running(tmp_path_factory.mktemp("open"), environ, settings_for(one_fake)) as started:
        yield started
