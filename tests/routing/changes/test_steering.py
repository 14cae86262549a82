"""Changes of routes: made, followed by other processes, refused, taken back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from headgate.config.routes import RouteSettings
from headgate.errors import BadRequest, ConfigError, NotFound, StorageUnavailable
from headgate.routing.changes import steering as steering_file
from headgate.routing.changes.overlay import Laid, Version, Written
from headgate.routing.changes.repository import RouteVersions
from headgate.routing.changes.steering import Steering
from headgate.storage.bus import Bus, LocalBus
from headgate.storage.session import Database
from headgate.types import Caller

ANNA = Caller("key_anna", "anna", "owner")
PLAIN = RouteSettings(("one/m",))
OTHER = RouteSettings(("two/m",))
NEVER_S = 3600.0


class Led:
    """Remembers where it was led."""

    def __init__(self) -> None:
        self.laid: list[Laid] = []
        self._news = asyncio.Event()

    def __call__(self, laid: Laid) -> None:
        self.laid.append(laid)
        self._news.set()

    async def hears(self, wanted: Callable[[Laid], bool]) -> None:
        async with asyncio.timeout(5):
            while not (self.laid and wanted(self.laid[-1])):
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def steered(
    versions: RouteVersions, bus: Bus, written: Written, led: Led | None = None
) -> AsyncIterator[Steering]:
    steering = Steering(versions, bus, written, led or Led())
    await steering.start()
    try:
        yield steering
    finally:
        await steering.stop()


@pytest.fixture
async def steering(sqlite: Database, written: Written, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Steering]:
    monkeypatch.setattr(steering_file, "POLL_S", NEVER_S)
    async with steered(RouteVersions(sqlite), LocalBus(), written) as steering:
        yield steering


async def test_a_change_made_here_is_followed_elsewhere_when_the_bus_tells(
    database: Database, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steering_file, "POLL_S", NEVER_S)
    bus, led = LocalBus(), Led()
    async with (
        steered(RouteVersions(database), bus, written) as here,
        steered(RouteVersions(database), bus, written, led) as there,
    ):
        made = await here.put("new", PLAIN, ANNA)
        assert there.laid.routes["new"] == PLAIN
        assert there.version == here.version == made
        assert led.laid == [there.laid]


async def test_a_change_made_elsewhere_is_noticed_without_the_bus(
    database: Database, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steering_file, "POLL_S", 0.01)
    led = Led()
    async with (
        steered(RouteVersions(database), LocalBus(), written) as here,
        steered(RouteVersions(database), LocalBus(), written, led),
    ):
        await here.put("new", PLAIN, ANNA)
        await led.hears(lambda laid: "new" in laid.routes)


async def test_a_process_that_starts_later_follows_what_was_changed(database: Database, written: Written) -> None:
    async with steered(RouteVersions(database), LocalBus(), written) as first:
        await first.remove("short", ANNA)
    led = Led()
    async with steered(RouteVersions(database), LocalBus(), written, led) as second:
        assert set(second.laid.routes) == {"long"}
        assert led.laid == [second.laid]


async def test_a_route_is_put_replaced_removed_and_rolled_back_to(steering: Steering, written: Written) -> None:
    await steering.put("new", PLAIN, ANNA)
    await steering.put("new", OTHER, ANNA)
    assert steering.laid.routes["new"] == OTHER
    await steering.remove("new", ANNA)
    await steering.remove("short", ANNA)
    assert set(steering.laid.routes) == {"long"}
    assert steering.laid.overlay == {"short": None}
    made = await steering.roll_back(1, ANNA)
    assert (made.number, made.what, made.key_name) == (5, "rolled back to version 1", "anna")
    assert steering.laid.routes == {**written.routes, "new": PLAIN}
    await steering.roll_back(0, ANNA)
    assert steering.laid.routes == written.routes


async def test_what_is_not_there_cannot_be_removed_or_rolled_back_to(steering: Steering) -> None:
    with pytest.raises(NotFound):
        await steering.remove("new", ANNA)
    await steering.remove("short", ANNA)
    with pytest.raises(NotFound):
        await steering.remove("short", ANNA)
    with pytest.raises(NotFound):
        await steering.roll_back(7, ANNA)
    assert steering.version.number == 1


async def test_a_bad_change_changes_nothing(steering: Steering, written: Written) -> None:
    with pytest.raises(BadRequest) as raised:
        await steering.put("new", RouteSettings(("gone/m",)), ANNA)
    assert raised.value.param == "routes.new.targets[0]"
    with pytest.raises(BadRequest, match="another route"):
        await steering.remove("long", ANNA)
    assert (steering.version.number, steering.laid.routes) == (0, written.routes)


async def test_each_change_is_made_to_what_the_one_before_left(database: Database, written: Written) -> None:
    async with (
        steered(RouteVersions(database), LocalBus(), written) as here,
        steered(RouteVersions(database), LocalBus(), written) as there,
    ):
        await asyncio.gather(*(each.put(f"r{n}", PLAIN, ANNA) for n, each in enumerate((here, there) * 4)))
        await here.refresh()
        assert set(here.laid.routes) == {"short", "long", *(f"r{n}" for n in range(8))}
        assert here.version.number == 8


async def test_changes_that_lost_their_provider_are_left_out_and_mended_one_by_one(
    sqlite: Database, written: Written, caplog: pytest.LogCaptureFixture
) -> None:
    async with steered(RouteVersions(sqlite), LocalBus(), written) as before:
        for name in ("a", "b", "c"):
            await before.put(name, PLAIN if name == "c" else OTHER, ANNA)
    poorer = replace(written, routes={}, credentials={"one": ("default",)})
    with caplog.at_level(logging.ERROR):
        async with steered(RouteVersions(sqlite), LocalBus(), poorer) as steering:
            assert set(steering.laid.left_out) == {"a", "b"}
            assert set(steering.laid.routes) == {"c"}
            assert "the route a of version 3 is not followed: at run time: routes.a.targets[0]" in caplog.text
            with pytest.raises(BadRequest):
                await steering.put("a", RouteSettings(("two/again",)), ANNA)
            with pytest.raises(BadRequest):
                await steering.put("d", RouteSettings(("two/new",)), ANNA)
            await steering.put("a", PLAIN, ANNA)
            assert set(steering.laid.left_out) == {"b"}
            await steering.remove("b", ANNA)
            assert steering.laid.left_out == {}


async def test_other_settings_may_be_at_odds_with_what_was_changed(steering: Steering, written: Written) -> None:
    await steering.put("new", OTHER, ANNA)
    with pytest.raises(ConfigError, match=r"routes\.new\.targets\[0\]"):
        steering.fitting(replace(written, routes={}, credentials={"one": ("default",)}))
    richer = replace(written, routes={**written.routes, "more": PLAIN})
    steering.settle(richer, steering.fitting(richer))
    assert set(steering.laid.routes) == {"short", "long", "new", "more"}
    await steering.remove("new", ANNA)
    assert set(steering.laid.routes) == {"short", "long", "more"}


class Slow(RouteVersions):
    """Hands out the version that it has read only when it is told to."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.read, self.gate = asyncio.Event(), asyncio.Event()
        self.gate.set()

    async def newer_than(self, number: int) -> Version:
        found = await super().newer_than(number)
        self.read.set()
        await self.gate.wait()
        return found


async def test_a_version_that_was_read_before_a_newer_one_was_made_does_not_return(
    sqlite: Database, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steering_file, "POLL_S", NEVER_S)
    slow = Slow(sqlite)
    steering = Steering(slow, LocalBus(), written, Led())
    async with steered(RouteVersions(sqlite), LocalBus(), written) as other:
        await other.put("new", PLAIN, ANNA)
    slow.gate.clear()
    refreshing = asyncio.create_task(steering.refresh())
    await slow.read.wait()
    await steering.put("new", OTHER, ANNA)
    slow.gate.set()
    await refreshing
    assert (steering.version.number, steering.laid.routes["new"]) == (2, OTHER)


async def test_a_database_that_is_away_leaves_the_routes_as_they_are(
    sqlite: Database, written: Written, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(steering_file, "POLL_S", 0.01)
    asked = asyncio.Semaphore(0)

    class Away(RouteVersions):
        gone = False

        async def newer_than(self, number: int) -> Version:
            asked.release()
            if self.gone:
                raise StorageUnavailable("away")
            return await super().newer_than(number)

    versions = Away(sqlite)
    with caplog.at_level(logging.WARNING):
        async with steered(versions, LocalBus(), written) as steering:
            versions.gone = True
            for _ in range(5):
                await asked.acquire()
            assert steering.laid.routes == written.routes
            versions.gone = False
            for _ in range(5):
                await asked.acquire()
    said = [record.message for record in caplog.records if "routes are followed" in record.message]
    assert said == ["routes are followed as they were: away", "routes are followed in the database again"]
