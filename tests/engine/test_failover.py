"""The tries of one request, against a provider on a real socket."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from headgate.engine.failover import ATTEMPTS, Failover, RetryBudget
from headgate.engine.reach import Credential, Reach
from headgate.errors import UpstreamFailed, UpstreamRateLimited, UpstreamRefused
from headgate.providers.openai import OpenAI
from headgate.routing.traffic import Traffic
from headgate.testing import FakeUpstream
from headgate.testing.faults import KeyEcho, Silence, Stall, Status
from headgate.types import DEFAULT
from headgate.upstream.lean import Lean
from headgate.wire.chat import CHAT
from tests.conftest import calls
from tests.engine.reaches import ask, plan, reaches, tab
from tests.providers.configured import KEY, configured

NAMES = ("one", "two", "three", "four")


@pytest.fixture
def told() -> list[tuple[str, str]]:
    """What was given up for another: provider and code."""
    return []


@pytest.fixture
def failover(
    client: Lean, fake: FakeUpstream, told: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> Failover:
    monkeypatch.setattr("headgate.engine.failover.BACKOFF_S", 0.001)
    traffic = Traffic(lambda target: None, lambda target, error: None)
    return Failover(reaches(client, fake, NAMES), traffic, lambda provider, code: told.append((provider, code)))


def broken(fake: FakeUpstream, *models: str, status: int = 500) -> None:
    for model in models:
        fake.fault(Status(status), model=model, times=9)


async def test_the_first_target_serves(failover: Failover, fake: FakeUpstream) -> None:
    noted = tab()
    async with failover.open(CHAT, ask(), plan("one/a", "two/b"), failover.reaches, noted) as opened:
        assert (opened.target.provider, opened.target.model, opened.reach.name) == ("one", "a", "one")
        assert opened.whole is not None
        assert b"one two three" in opened.whole.body
    assert (noted.attempts, noted.provider, noted.served) == (1, "one", "a")
    assert noted.upstream_s > 0
    assert [entry.model for entry in calls(fake)] == ["a"]


async def test_a_stream_is_opened_with_its_first_piece(failover: Failover) -> None:
    async with failover.open(CHAT, ask(stream=True), plan("one/a"), failover.reaches, tab()) as opened:
        assert opened.flow is not None
        assert opened.head.startswith(b"data: {")


async def test_a_target_that_fails_is_given_up_for_the_next_and_told(
    failover: Failover, fake: FakeUpstream, told: list[tuple[str, str]]
) -> None:
    broken(fake, "a")
    noted = tab()
    async with failover.open(CHAT, ask(), plan("one/a", "two/b"), failover.reaches, noted) as opened:
        assert opened.target.provider == "two"
    assert (noted.attempts, noted.provider) == (2, "two")
    assert told == [("one", "upstream_failed")]


async def test_no_request_is_tried_more_often_than_the_bound(failover: Failover, fake: FakeUpstream) -> None:
    broken(fake, "*")
    noted = tab()
    with pytest.raises(UpstreamFailed):
        async with failover.open(CHAT, ask(), plan("one/a", "two/b", "three/c", "four/d"), failover.reaches, noted):
            pass
    assert noted.attempts == len(calls(fake)) == ATTEMPTS
    assert [entry.model for entry in calls(fake)] == ["a", "b", "c"]


async def test_what_the_last_target_failed_with_is_raised(failover: Failover, fake: FakeUpstream) -> None:
    broken(fake, "a")
    broken(fake, "b", status=429)
    with pytest.raises(UpstreamRateLimited):
        async with failover.open(CHAT, ask(), plan("one/a", "two/b"), failover.reaches, tab()):
            pass


def lacking(failover: Failover, name: str, lack: str) -> dict[str, Reach]:
    """The same providers, but that one of them has no key or no wire."""
    reach = failover.reaches[name]
    without = {
        "key": replace(reach, provider=configured(OpenAI, name=name, key=None)),
        "wire": replace(reach, wires={}),
    }
    lame = replace(without[lack], credentials={DEFAULT: Credential(None, [])})
    return {**failover.reaches, name: lame}


@pytest.mark.parametrize("lack", ["key", "wire"])
async def test_what_the_setup_of_a_later_target_lacks_hides_no_outage(
    failover: Failover, fake: FakeUpstream, lack: str
) -> None:
    broken(fake, "a", status=429)
    with pytest.raises(UpstreamRateLimited):
        async with failover.open(CHAT, ask(), plan("one/a", "two/b"), lacking(failover, "two", lack), tab()):
            pass
    assert len(calls(fake)) == 1


@pytest.mark.parametrize("lack", ["key", "wire"])
async def test_the_last_target_that_can_be_called_is_repeated_from_the_budget(
    failover: Failover, fake: FakeUpstream, lack: str
) -> None:
    reaches, noted = lacking(failover, "two", lack), tab()
    fake.fault(Status(500))
    async with failover.open(CHAT, ask(), plan("one/a", "two/b"), reaches, noted) as opened:
        assert opened.target.provider == "one"
    assert (noted.attempts, noted.provider, len(calls(fake))) == (2, "one", 2)
    failover.budget = RetryBudget(saved=0.0)
    fake.fault(Status(500))
    with pytest.raises(UpstreamFailed):
        async with failover.open(CHAT, ask(), plan("one/a", "two/b"), reaches, tab()):
            pass
    assert len(calls(fake)) == 3


async def test_a_refusal_of_the_request_is_taken_nowhere_else(failover: Failover, fake: FakeUpstream) -> None:
    broken(fake, "a", status=400)
    with pytest.raises(UpstreamRefused):
        async with failover.open(CHAT, ask(), plan("one/a", "two/b"), failover.reaches, tab()):
            pass
    assert len(calls(fake)) == 1


async def test_a_last_target_is_repeated_from_the_budget_alone(failover: Failover, fake: FakeUpstream) -> None:
    fake.fault(Status(500))
    async with failover.open(CHAT, ask(), plan("one/a"), failover.reaches, tab()) as opened:
        assert opened.whole is not None
    assert len(calls(fake)) == 2
    failover.budget = RetryBudget(saved=0.0)
    fake.fault(Status(500))
    with pytest.raises(UpstreamFailed):
        async with failover.open(CHAT, ask(), plan("one/a"), failover.reaches, tab()):
            pass
    assert len(calls(fake)) == 3


async def test_the_pause_before_a_repeat_is_not_our_own_time(
    failover: Failover, fake: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headgate.engine.failover.pause_s", lambda error, attempts: 0.3)
    fake.fault(Status(500))
    noted = tab()
    async with failover.open(CHAT, ask(), plan("one/a"), failover.reaches, noted):
        assert noted.upstream_s >= 0.29


async def test_leaving_the_scope_closes_a_stream_that_was_not_read(failover: Failover, fake: FakeUpstream) -> None:
    fake.fault(Stall(after=2))
    async with failover.open(CHAT, ask(stream=True), plan("one/a"), failover.reaches, tab()):
        entry = calls(fake)[0]
        assert not entry.left
    await entry.wait_left()


async def test_a_call_that_is_cancelled_closes_its_connection(failover: Failover, fake: FakeUpstream) -> None:
    fake.fault(Silence())

    async def call() -> None:
        async with failover.open(CHAT, ask(), plan("one/a", "two/b"), failover.reaches, tab()):
            pass

    calling = asyncio.create_task(call())
    entry = await fake.journal.wait()
    calling.cancel()
    await entry.wait_left()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert len(calls(fake)) == 1


async def test_a_providers_words_are_told_without_its_key(failover: Failover, fake: FakeUpstream) -> None:
    fake.fault(KeyEcho(400))
    with pytest.raises(UpstreamRefused) as failed:
        async with failover.open(CHAT, ask(), plan("one/a"), failover.reaches, tab()):
            pass
    assert "Incorrect API key" in failed.value.message
    assert KEY not in failed.value.message
