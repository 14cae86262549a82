"""Builds every room from a Config: the only file that knows them all."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from headgate import __version__
from headgate.access.gate import Gate
from headgate.access.repository import KeyRepository
from headgate.cache.idempotency import Idempotency
from headgate.cache.shared import shelf_at
from headgate.cache.shelf import Bounds
from headgate.cache.singleflight import ResponseCache
from headgate.config import Config
from headgate.config.reloading import differences, followed
from headgate.edge.asgi import DataPlane
from headgate.edge.deferred import App, Deferred
from headgate.edge.drain import Drain
from headgate.edge.hangup import Hangup
from headgate.edge.health import Health
from headgate.edge.loopback import LoopbackOnly
from headgate.edge.reply import Receive, Scope, Send
from headgate.engine.clients import Clients
from headgate.engine.discovery import Discovery
from headgate.engine.failover import Failover
from headgate.engine.gateway import Gateway
from headgate.engine.kept import KeptAnswers
from headgate.engine.naming import NAMINGS
from headgate.engine.offer import Offer, Workshop, cards_of, catalogue_of, names_of
from headgate.engine.reach import Reach, reach_of
from headgate.engine.recall import CachingRecall, Recall
from headgate.engine.sync import Sync
from headgate.errors import ConfigError, HeadgateError, UpstreamError
from headgate.ledger.journal import Journal
from headgate.ledger.meter import Meter
from headgate.ledger.repository import UsageRepository
from headgate.ledger.shipper import Shipper
from headgate.routing.changes.overlay import Laid, written_of
from headgate.routing.changes.repository import RouteVersions
from headgate.routing.changes.steering import Steering
from headgate.routing.known import KnownModels
from headgate.routing.repository import ModelRepository
from headgate.routing.routes import NO_ROUTES, routes_of
from headgate.routing.traffic import Traffic
from headgate.storage.answers import answers_at
from headgate.storage.bus import bus_at
from headgate.storage.occupancy import Occupancy
from headgate.storage.schema import migrate
from headgate.storage.session import Database
from headgate.telemetry.logs import AccessLog, NoAccessLog, setup
from headgate.telemetry.metrics import Alone, Shared
from headgate.telemetry.traces import traces
from headgate.types import Reloaded, Target
from headgate.wire.base import Wire
from headgate.wire.chat import CHAT
from headgate.wire.completions import COMPLETIONS
from headgate.wire.embeddings import EMBEDDINGS
from headgate.wire.features import FEATURES
from headgate.wire.messages import MESSAGES
from headgate.wire.ollama import OLLAMA
from headgate.wire.ollama_embed import OLLAMA_EMBED

WIRES: Mapping[str, Wire] = {
    wire.name: wire for wire in (CHAT, COMPLETIONS, MESSAGES, OLLAMA, EMBEDDINGS, FEATURES, OLLAMA_EMBED)
}

SETTINGS = "settings"
"""The topic of the bus on which processes are told to read their settings again."""

log = logging.getLogger(__name__)


class House:
    """One gateway process: an ASGI application whose lifespan opens and closes every room."""

    def __init__(self, config: Config, read: Callable[[], Config]) -> None:
        """`read` reads the settings again, when somebody asks for it. Raises `ConfigError`."""
        self.config = config
        self.rooms = Rooms(config, read)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self.rooms.door(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.rooms.open()
        except HeadgateError as error:
            log.error("headgate cannot start: %s", error.message)
            await send({"type": "lifespan.startup.failed", "message": error.message})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.rooms.close()
        await send({"type": "lifespan.shutdown.complete"})


class Rooms:
    """Every room of one process, built from a Config and wired to the others. Nothing runs before `open`."""

    def __init__(self, config: Config, read: Callable[[], Config]) -> None:
        self.config = config
        self._read = read
        self._said = config
        self._reloading = asyncio.Lock()
        self.redaction = setup(config.log.level, config.secrets())
        self.notices = list(config.notices)
        self._storage()
        self._telemetry()
        self._shelves()
        self._engine()
        self._doors()

    def _storage(self) -> None:
        config = self.config
        self.database = Database(config.database_url)
        self.bus = bus_at(config.redis_url)
        self.keys = KeyRepository(self.database)
        self.usage = UsageRepository(self.database)
        self.models = ModelRepository(self.database)
        self.pages = answers_at(config.redis_url)
        self.gate = Gate(config.auth, self.keys, self.bus)
        self.occupancy = Occupancy(config.home)
        self.journal = Journal(config.home / "journal", config.journal.fsync_ms)
        self.shipper = Shipper(self.journal, self.usage, config.journal.ship_ms)

    def _telemetry(self) -> None:
        config = self.config
        self.metrics = Shared(config.home) if config.server.workers > 1 else Alone()
        self.access_log = AccessLog(sys.stdout, redaction=self.redaction) if config.log.access else NoAccessLog()

    def _engine(self) -> None:
        config = self.config
        self.workshop, self.clients = Workshop(config, self.notices.append), Clients()
        offer = self.workshop.offer(config)
        reaches = self._reaches(offer)
        self.addresses = {name: reach.address for name, reach in reaches.items()}
        self.traces = traces(config.otlp_endpoint, self.addresses)
        catalogue = catalogue_of(config, offer)
        self.known_models = KnownModels(catalogue, self.models, self.bus)
        self.kept = KeptAnswers(catalogue, self.pages, self.bus)
        self.sync = Sync(reaches, self.models, self.bus, config.catalogue.sync_hours)
        self.discovery = Discovery(catalogue, routes_of(config.routes, config.providers), reaches)
        self.steering = Steering(RouteVersions(self.database), self.bus, written_of(config), self._lead)
        meter = Meter(self.journal, (self.metrics.observe, self.access_log.line, self.traces.observe))
        self.traffic = Traffic(catalogue.price, self._target_failed)
        self.traffic.lead(NO_ROUTES, self.discovery.routes)
        failover = Failover(reaches, self.traffic, self.metrics.followed)
        self.metrics.gauges(
            "headgate_target_breakers",
            "Processes in which the breaker of a route's target is in this state.",
            ("provider", "model", "credential", "state"),
            self._breakers,
        )
        self.gateway = Gateway(self.gate, meter, self.discovery, self._recall(), failover, NAMINGS[config.answer_model])

    def _shelves(self) -> None:
        kept, repeated, redis_url = self.config.cache, self.config.idempotency, self.config.redis_url
        self.answers = shelf_at(redis_url, "answers", Bounds(kept.ttl_s, kept.max_size, kept.max_entries))
        self.repeated = shelf_at(redis_url, "repeated", Bounds(repeated.ttl_s, repeated.max_size, repeated.max_entries))

    def _recall(self) -> Recall:
        idempotency = Idempotency(self.repeated)
        if not self.config.cache.ttl_s:
            return Recall(idempotency, self.metrics.recalled)
        return CachingRecall(idempotency, ResponseCache(self.answers), self.metrics.recalled)

    def _reaches(self, offer: Offer) -> dict[str, Reach]:
        return {
            name: reach_of(provider, self.clients.of(provider.settings.transport), WIRES)
            for name, provider in offer.providers.items()
        }

    def _lead(self, laid: Laid) -> None:
        """Other routes from now on. Requests in flight have their plan already."""
        before, routes = self.discovery.routes, routes_of(laid.routes, self.config.providers)
        self.discovery.catalogue.lead(names_of(self.config, laid.routes))
        self.discovery.routes = routes
        self.traffic.lead(before, routes)

    def _target_failed(self, target: Target, error: UpstreamError) -> None:
        """Targets of routes are counted by name; what callers address directly could be called anything."""
        model = target.model if target in self.discovery.routes.targets else "other"
        self.metrics.target_failed(target.provider, model, target.credential)

    def _breakers(self) -> dict[tuple[str, ...], float]:
        now = self.traffic.clock()
        return {
            (target.provider, target.model, target.credential, self.traffic.breaker(target).state(now)): 1.0
            for target in self.discovery.routes.targets
        }

    def _doors(self) -> None:
        self.drain = Drain(self.config.server.grace_s)
        checks = {"database": self.database.check, "journal": self.journal.check, **self.bus.checks}
        self.health = Health(checks, self.metrics.render, self.drain)
        self.plane = DataPlane(
            self.gateway, self.kept, self.health, self.drain, Deferred(self._control), self.config.server.body_limit
        )
        self.door: App = LoopbackOnly(self.plane) if self.config.loopback_only else self.plane
        self.hangup = Hangup(self.reload)
        self.metrics.gauge("headgate_in_flight", "Requests that are being served.", lambda: len(self.plane.departures))
        self.metrics.gauge(
            "headgate_journal_pending",
            "Finished requests that are not in the database yet.",
            lambda: self.shipper.pending,
        )
        self.metrics.spoiled(self.shipper.spoiled)

    def _control(self) -> App:
        from headgate.control.api import ControlPlane
        from headgate.control.models import ModelRooms

        rooms = ModelRooms(self.models, self.sync, self.kept, self.bus)
        return ControlPlane(
            self.gate,
            self.usage,
            self.shipper,
            self.discovery,
            self.traffic,
            rooms,
            self.steering,
            self.reload_everywhere,
        )

    async def reload_everywhere(self) -> Reloaded:
        """As `reload`, and the other processes follow: each reads its own settings, and says in its log what is wrong
        with them."""
        reloaded = await self.reload()
        await self.bus.publish(SETTINGS)
        return reloaded

    async def reload(self) -> Reloaded:
        """Reads the settings again, and follows what can be followed while running, in one step.

        Raises `ConfigError`, and then nothing has changed.
        """
        async with self._reloading:
            said = await asyncio.to_thread(self._read)
            reloaded = self._follow(said)
            await self.known_models.again()
        for notice in said.notices:
            log.warning("%s", notice)
        log.info("the settings were read again; changed: %s", ", ".join(reloaded.changed) or "nothing")
        if reloaded.needs_restart:
            log.warning("not followed, needs a restart: %s", ", ".join(reloaded.needs_restart))
        return reloaded

    def _follow(self, said: Config) -> Reloaded:
        """What can fail comes first; then all is replaced, and no other task runs meanwhile."""
        now, config = self.config, followed(self.config, said)
        written = written_of(config)
        laid = self.steering.fitting(written)
        offer = self.workshop.offer(config)
        reaches = self._reaches(offer)
        self.config, self._said = config, said
        self.redaction.learn(config.secrets())
        self.gate.configure(config.auth)
        self.gateway.naming = NAMINGS[config.answer_model]
        self.discovery.catalogue.arrange(
            offer.providers, names_of(config, laid.routes), offer.prefixes, *cards_of(config, offer)
        )
        self.sync.follow(reaches)
        self.discovery.follow(reaches)
        self._renew(self.gateway.failover.reaches, reaches)
        self.gateway.failover.reaches = reaches
        self.addresses.update({name: reach.address for name, reach in reaches.items()})
        self.steering.settle(written, laid)
        self._lead(laid)
        self.door = LoopbackOnly(self.plane) if config.loopback_only else self.plane
        wanted = {provider.settings.transport for provider in offer.providers.values()}
        self.clients.keep(wanted, self.plane.departures.all_gone)
        return Reloaded(differences(now, config), differences(config, said))

    def _renew(self, before: Mapping[str, Reach], after: Mapping[str, Reach]) -> None:
        for name in before.keys() & after.keys():
            old, new = before[name].credentials, after[name].credentials
            for credential in old.keys() & new.keys():
                if old[credential].key != new[credential].key:
                    self.traffic.renew(name, credential)

    async def _hear_settings(self) -> None:
        """Another process, or this one, was told to read its settings again."""
        try:
            if await asyncio.to_thread(self._read) != self._said:
                await self.reload()
        except ConfigError as error:
            log.error("the settings cannot be followed, nothing is changed: %s", error.message)

    async def open(self) -> None:
        """Brings the database to its schema, loads the keys, makes the first one, starts what runs beside requests."""
        await migrate(self.config.database_url)
        await self.bus.start()
        await self.gate.start()
        await self.known_models.start()
        await self.kept.start()
        await self.steering.start()
        await self.bus.subscribe(SETTINGS, self._hear_settings)
        self.shipper.start()
        self.metrics.start()
        self.discovery.start()
        self.sync.start()
        self.plane.departures.start()
        self.drain.start()
        self.hangup.start()
        if self.config.redis_url is None and (shared := self.occupancy.enter()):
            self.notices.append(shared)
        for notice in self.notices:
            log.warning("%s", notice)
        self._announce()
        await self._welcome()
        settle_memory()

    async def close(self) -> None:
        """After the last request, from the doors down: rows shipped, files synchronised, connections closed.

        A step that fails keeps none of the others from being taken.
        """
        async with AsyncExitStack() as rest:
            rest.callback(self.occupancy.leave)
            rest.push_async_callback(self.database.close)
            rest.push_async_callback(self.bus.stop)
            rest.push_async_callback(self.pages.close)
            rest.push_async_callback(self.known_models.stop)
            rest.push_async_callback(self.gate.stop)
            rest.push_async_callback(self.steering.stop)
            rest.push_async_callback(self.repeated.stop)
            rest.push_async_callback(self.answers.stop)
            for step in (self.access_log.close, self.metrics.close, self.traces.close, self.journal.close):
                rest.callback(step)
            rest.push_async_callback(self.shipper.stop)
            rest.push_async_callback(self.clients.close)
            rest.push_async_callback(self.discovery.stop)
            rest.push_async_callback(self.sync.stop)
            rest.callback(self.plane.departures.stop)
            rest.push_async_callback(self.hangup.stop)

    @asynccontextmanager
    async def syncing(self) -> AsyncIterator[Sync]:
        """What fetches the model lists, without a server around it."""
        await migrate(self.config.database_url)
        await self.bus.start()
        try:
            yield self.sync
        finally:
            await self.clients.close()
            await self.bus.stop()
            await self.database.close()

    def _announce(self) -> None:
        ready = ", ".join(reach.name for reach in self.gateway.failover.reaches.values() if reach.configured)
        log.info("headgate %s on %s: can call %s; state in %s", __version__, self._url(), ready, self.config.home)

    async def _welcome(self) -> None:
        """Makes the first key of an installation and says it, once, with a command that works as it stands."""
        if self.config.auth.admin_key or (first := await self.keys.create_first("first")) is None:
            return
        await self.gate.refresh()
        sys.stderr.write(WELCOME.format(key=first[1].reveal(), url=self._url()))
        sys.stderr.flush()

    def _url(self) -> str:
        """Where a client on this machine finds the server, as far as the settings know."""
        server = self.config.server
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(server.host, server.host)
        return f"http://{f'[{host}]' if ':' in host and '[' not in host else host}:{server.port}"


def settle_memory() -> None:
    """Takes what stays for good out of the collector's rounds, and makes these rarer: a request leaves no cycles.

    Source: the `gc` module's documentation, `gc.freeze`; the collector took 7 % of a busy process's time before.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


WELCOME = """
  Your key (an owner's; it is shown this once):

    {key}

  Try it:

    curl {url}/v1/chat/completions \\
      -H "Authorization: Bearer {key}" \\
      -H "Content-Type: application/json" \\
      -d '{{"model": "echo", "messages": [{{"role": "user", "content": "Hello, gate!"}}]}}'

"""
