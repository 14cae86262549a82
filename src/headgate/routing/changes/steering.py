"""Which routes are followed now: those of the settings, and over them what was changed at run time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from contextlib import suppress

from headgate.config.routes import RouteSettings
from headgate.errors import BadRequest, ConfigError, HouseError, NotFound
from headgate.routing.changes.overlay import SETTINGS_ALONE, Laid, Overlay, Version, Written, lay, merged
from headgate.routing.changes.repository import RouteVersions
from headgate.storage.bus import Bus
from headgate.types import Caller

TOPIC = "routes"
POLL_S = 0.8
"""How late a change that was made elsewhere is noticed without the bus."""

log = logging.getLogger(__name__)


class Steering:
    """Makes changes of routes, and follows those of other processes: at once where the bus tells.

    `lead` is called with what is to be followed whenever that changes; requests in flight go on as they began.
    """

    def __init__(self, versions: RouteVersions, bus: Bus, written: Written, lead: Callable[[Laid], None]) -> None:
        self.versions = versions
        self.version = SETTINGS_ALONE
        self.laid = lay({}, written)
        self._written = written
        self._bus = bus
        self._lead = lead
        self._refreshing = asyncio.Lock()
        self._following: asyncio.Task[None] | None = None
        self._away = False

    async def start(self) -> None:
        """Loads the newest version, and follows. Raises `StorageUnavailable`."""
        await self.refresh()
        await self._bus.subscribe(TOPIC, self._hear)
        self._following = asyncio.create_task(self._follow(), name="headgate-routes")

    async def stop(self) -> None:
        if self._following is not None:
            self._following.cancel()
            with suppress(asyncio.CancelledError):
                await self._following

    async def refresh(self) -> None:
        """Takes in what changed since the last time. Raises `StorageUnavailable`."""
        async with self._refreshing:
            self._take(await self.versions.newer_than(self.version.number))

    async def put(self, name: str, route: RouteSettings, caller: Caller) -> Version:
        """Adds or replaces a route. Raises `BadRequest` that names the field, as the other two do."""
        return await self._change(caller, f"put {name}", {name}, lambda overlay: {**overlay, name: route})

    async def remove(self, name: str, caller: Caller) -> Version:
        """Raises `NotFound` besides."""
        return await self._change(caller, f"removed {name}", {name}, lambda overlay: self._without(name, overlay))

    async def roll_back(self, number: int, caller: Caller) -> Version:
        """Makes a new version that is as an old one was; 0 is the settings alone. Raises `NotFound` besides."""
        old = (await self.versions.find(number)).overlay
        return await self._change(caller, f"rolled back to version {number}", old, lambda _: old)

    def fitting(self, written: Written) -> Laid:
        """What was changed at run time, over other settings. Raises `ConfigError` where these are at odds with it."""
        laid = lay(self.laid.overlay, written)
        if laid.left_out.keys() - self.laid.left_out.keys():
            merged(laid.overlay, written)
        return laid

    def settle(self, written: Written, laid: Laid) -> None:
        """Other settings hold from now on; `laid` is what `fitting` made of them, and is led to by the caller."""
        self._written, self.laid = written, laid

    async def _change(
        self, caller: Caller, what: str, touched: Collection[str], change: Callable[[Overlay], Overlay]
    ) -> Version:
        def checked(overlay: Overlay) -> Overlay:
            changed = change(overlay)
            self._refuse_faults(overlay, changed, touched)
            return changed

        made = await self.versions.add(caller, what, checked)
        log.info("routes: version %d, by %s: %s", made.number, caller.name, what)
        self._take(made)
        await self._bus.publish(TOPIC)
        return made

    def _refuse_faults(self, before: Overlay, after: Overlay, touched: Collection[str]) -> None:
        """What could not be followed before the change may stay so: it must be possible to mend one after another."""
        try:
            merged(after, self._written)
        except ConfigError as error:
            was, now = (lay(overlay, self._written).left_out for overlay in (before, after))
            if any(name in touched or name not in was for name in now):
                raise BadRequest(error.message, param=error.param) from None

    def _without(self, name: str, overlay: Overlay) -> Overlay:
        if overlay.get(name, self._written.routes.get(name)) is None:
            raise NotFound(f"there is no route {name!r}")
        rest: dict[str, RouteSettings | None] = {each: route for each, route in overlay.items() if each != name}
        return {**rest, name: None} if name in self._written.routes else rest

    def _take(self, version: Version) -> None:
        """A version that a newer one has overtaken on the way here changes nothing."""
        if version.number <= self.version.number:
            return
        self.version, self.laid = version, lay(version.overlay, self._written)
        for name, error in self.laid.left_out.items():
            log.error("the route %s of version %d is not followed: %s", name, version.number, error.message)
        self._lead(self.laid)

    async def _hear(self) -> None:
        """A refresh that can wait for the next round where the database does not serve."""
        try:
            await self.refresh()
        except HouseError as error:
            if not self._away:
                log.warning("routes are followed as they were: %s", error.message)
            self._away = True
        else:
            if self._away:
                log.warning("routes are followed in the database again")
            self._away = False

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            try:
                await self._hear()
            except Exception:
                log.exception("routes could not be followed; it will be tried again")
