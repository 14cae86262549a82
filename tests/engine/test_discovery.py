"""Model lists of providers on real sockets: had, not had, and junk."""

from __future__ import annotations

import asyncio
import logging

import pytest

from headgate.engine import discovery
from headgate.engine.discovery import Discovery
from headgate.errors import ModelNotFound
from headgate.routing.catalogue import Catalogue
from headgate.routing.routes import NO_ROUTES
from headgate.testing import FakeUpstream
from headgate.testing.faults import Junk, Silence, Status
from headgate.testing.sockets import closed_port
from headgate.types import Target
from headgate.upstream.lean import Lean
from tests.engine.reaches import reach, reaches

LISTED = "gpt-4o-mini"
"""A name on the fake's list that no rule but the list knows here."""


def models(client: Lean, fake: FakeUpstream, *names: str, **away: str) -> Discovery:
    """Providers of the fake, and others at their own addresses."""
    all_of = reaches(client, fake, names) | {name: reach(name, url, client) for name, url in away.items()}
    return Discovery(Catalogue(all_of, {}, (), {}), NO_ROUTES, all_of)


def listings(fake: FakeUpstream) -> int:
    return sum(entry.method == "GET" for entry in fake.journal)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown name asks for the lists every time."""
    monkeypatch.setattr(discovery, "AGAIN_S", 0.0)


async def test_a_name_that_nobody_knows_is_looked_for_in_fresh_lists(client: Lean, fake: FakeUpstream) -> None:
    found = await models(client, fake, "one").plan(LISTED)
    assert (found.targets, found.why) == ((Target("one", LISTED),), "catalogue")
    assert listings(fake) == 1


async def test_lists_are_not_asked_again_and_again(client: Lean, fake: FakeUpstream) -> None:
    known = models(client, fake, "one")
    for _ in range(5):
        with pytest.raises(ModelNotFound):
            await known.plan("nobody-has-this")
    assert listings(fake) == 1


async def test_many_who_ask_at_once_wait_for_one_round(client: Lean, fake: FakeUpstream) -> None:
    known = models(client, fake, "one")
    found = await asyncio.gather(*(known.plan(LISTED) for _ in range(20)))
    assert {plan.targets for plan in found} == {(Target("one", LISTED),)}
    assert listings(fake) == 1


@pytest.mark.usefixtures("impatient")
async def test_a_list_that_cannot_be_had_is_said_once_and_spoils_no_other(
    client: Lean, fake: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "headgate.engine.discovery")
    with closed_port() as url:
        known = models(client, fake, "one", gone=url)
        for _ in range(3):
            await known.refresh()
        assert (await known.plan(LISTED)).targets == (Target("one", LISTED),)
        assert caplog.text.count("the model list of gone cannot be had") == 1
        with pytest.raises(ModelNotFound) as failed:
            await known.plan("nobody-has-this")
    assert "The model lists of gone could not be had" in failed.value.message


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("fault", [Status(500), Status(401), Junk("html"), Junk("half"), Junk("null")], ids=str)
async def test_a_list_that_fails_leaves_what_was_known(client: Lean, fake: FakeUpstream, fault: Status | Junk) -> None:
    known = models(client, fake, "one")
    await known.refresh()
    fake.fault(fault, method="GET")
    await known.refresh()
    assert known.catalogue.known(LISTED) == (Target("one", LISTED),)
    with pytest.raises(ModelNotFound) as failed:
        await known.plan("nobody-has-this")
    assert "could not be had" not in failed.value.message, "it could be had again"


async def test_who_asks_in_the_first_moments_waits_for_the_first_round(client: Lean, fake: FakeUpstream) -> None:
    known = models(client, fake, "one")
    known.start()
    await fake.journal.wait()
    assert (await known.plan(LISTED)).targets == (Target("one", LISTED),)
    await known.stop()
    assert listings(fake) == 1


async def test_a_round_that_took_long_is_not_followed_by_another_at_once(
    client: Lean, fake: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed = [1000.0]
    monkeypatch.setattr(discovery, "monotonic", lambda: passed[0])
    known = models(client, fake, "one")
    round_ = known.refresh()
    passed[0] += discovery.AGAIN_S + 1
    await round_
    with pytest.raises(ModelNotFound):
        await known.plan("nobody-has-this")
    assert listings(fake) == 1
    passed[0] += discovery.AGAIN_S
    with pytest.raises(ModelNotFound):
        await known.plan("nobody-has-this")
    assert listings(fake) == 2


async def test_who_asks_does_not_wait_for_a_silent_provider(
    client: Lean, fake: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "WAIT_S", 0.05)
    fake.fault(Silence(), method="GET")
    known = models(client, fake, "one")
    with pytest.raises(ModelNotFound):
        await known.plan(LISTED)
    entry = await fake.journal.wait()
    await known.stop()
    await entry.wait_left()


async def test_the_first_round_begins_unasked_and_stops_when_told(client: Lean, fake: FakeUpstream) -> None:
    known = models(client, fake, "one", "two")
    known.start()
    await fake.journal.wait_over(2)
    await known.refresh()
    await known.stop()
    assert set(known.catalogue.known(LISTED)) == {Target("one", LISTED), Target("two", LISTED)}
