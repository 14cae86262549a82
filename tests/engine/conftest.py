"""A client that is closed when its test is over; gateways that keep answers, in memory and in Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from headgate.storage import redis as redis_file
from headgate.testing import FakeUpstream
from headgate.testing.gateway import RunningGateway, running
from headgate.upstream.lean import Lean
from tests.conftest import environ_for
from tests.needs import needs_redis

KEEPING = "cache: {ttl_s: 300, max_size: 1MiB}"


@pytest.fixture
async def client() -> AsyncIterator[Lean]:
    client = Lean()
    yield client
    await client.close()


@pytest.fixture(scope="session", params=["memory", "redis"])
def one_keeping(
    request: pytest.FixtureRequest, one_fake: FakeUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    """Redis gets the time that a busy machine needs: what is tested here is what it is used for."""
    patience = pytest.MonkeyPatch()
    patience.setattr(redis_file, "ANSWER_S", 10.0)
    environ = environ_for(one_fake) | ({"REDIS_URL": needs_redis()} if request.param == "redis" else {})
    with running(tmp_path_factory.mktemp("keeping"), environ, KEEPING) as gateway:
        yield gateway
    patience.undo()


@pytest.fixture
def keeping(one_keeping: RunningGateway, fake: FakeUpstream) -> RunningGateway:
    """A gateway that keeps answers for five minutes, up to 128 KiB each."""
    return one_keeping
