"""Builds every room from a Config: the only file that knows them all."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from msgspec.structs import asdict

from headgate import __version__
from headgate.access.gate import Gate
from headgate.access.repository import KeyRepository
from headgate.cache.idempotency import Idempotency
from headgate.cache.shared import shelf_at
from headgate.cache.shelf import Bounds
from headgate.cache.singleflight import ResponseCache
from headgate.config import CatalogueSettings, Config, Prefix, Transport, lookup
from headgate.edge.asgi import DataPlane
from headgate.edge.deferred import App, Deferred
from headgate.edge.drain import Drain
from headgate.edge.health import Health
from headgate.edge.loopback import LoopbackOnly
from headgate.edge.reply import Receive, Scope, Send
from headgate.engine.discovery import Discovery
from headgate.engine.failover import Failover
from headgate.engine.gateway import Gateway
from headgate.engine.kept import KeptAnswers
from headgate.engine.naming import NAMINGS
from headgate.engine.reach import Credential, Reach
from headgate.engine.recall import CachingRecall, Recall
from headgate.engine.sync import Sync
from headgate.errors import HeadgateError, UpstreamError
from headgate.ledger.journal import Journal
from headgate.ledger.meter import Meter
from headgate.ledger.repository import UsageRepository
from headgate.ledger.shipper import Shipper
from headgate.providers.base import Provider
from headgate.providers.found import discover, make
from headgate.routing.catalogue import Catalogue
from headgate.routing.known import KnownModels
from headgate.routing.repository import ModelRepository
from headgate.routing.routes import routes_of
from headgate.routing.traffic import Traffic
from headgate.storage.answers import answers_at
from headgate.storage.bus import bus_at
from headgate.storage.occupancy import Occupancy
from headgate.storage.schema import migrate
from headgate.storage.session import Database
from headgate.telemetry.logs import AccessLog, NoAccessLog, setup
from headgate.telemetry.metrics import Alone, Shared
from headgate.telemetry.traces import traces
from headgate.types import ModelCard, Target
from headgate.upstream.base import Limits, Upstream
from headgate.upstream.lean import Lean
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

log = logging.getLogger(__name__)


class House:
    """One gateway process: an ASGI application whose lifespan opens and closes every room."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.rooms = Rooms(config)
        self._door: App = LoopbackOnly(self.rooms.plane) if config.loopback_only else self.rooms.plane

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self._door(scope, receive, send)

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

    def __init__(self, config: Config) -> None:
        self.config = config
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
        adapters, prefixes = providers_of(config, self.notices.append)
        self.upstreams: dict[Transport, Upstream] = {}
        reaches = {name: self._reach(provider) for name, provider in adapters.items()}
        self.traces = traces(config.otlp_endpoint, {name: reach.address for name, reach in reaches.items()})
        catalogue = catalogue_of(config, adapters, prefixes)
        self.known_models = KnownModels(catalogue, self.models, self.bus)
        self.kept = KeptAnswers(catalogue, self.pages, self.bus)
        self.sync = Sync(reaches, self.models, self.bus, config.catalogue.sync_hours)
        self.discovery = Discovery(catalogue, routes_of(config.routes, config.providers), reaches)
        meter = Meter(self.journal, (self.metrics.observe, self.access_log.line, self.traces.observe))
        self.traffic = Traffic(catalogue.price, self._target_failed)
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

    def _reach(self, provider: Provider) -> Reach:
        settings = provider.settings
        times = settings.timeouts
        return Reach(
            provider=provider,
            upstream=self._upstream(settings.transport),
            limits=Limits(times.connect_s, times.first_byte_s, times.idle_s, times.total_s),
            wires={name: WIRES[name] for name in provider.wires},
            credentials={
                name: Credential(key, [*provider.headers(key), (b"content-type", b"application/json")])
                for name, key in settings.keys.items()
            },
        )

    def _upstream(self, transport: Transport) -> Upstream:
        """One client for each way of reaching servers; the slower one is loaded only where it is wanted."""
        if transport not in self.upstreams:
            if transport == Transport(ca_file=transport.ca_file):
                self.upstreams[transport] = Lean(ca_file=transport.ca_file)
            else:
                from headgate.upstream.proxied import Proxied

                self.upstreams[transport] = Proxied(transport)
        return self.upstreams[transport]

    def _doors(self) -> None:
        self.drain = Drain(self.config.server.grace_s)
        checks = {"database": self.database.check, "journal": self.journal.check, **self.bus.checks}
        self.health = Health(checks, self.metrics.render, self.drain)
        self.plane = DataPlane(
            self.gateway, self.kept, self.health, self.drain, Deferred(self._control), self.config.server.body_limit
        )
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
        return ControlPlane(self.gate, self.usage, self.shipper, self.discovery, self.traffic, rooms)

    async def open(self) -> None:
        """Brings the database to its schema, loads the keys, makes the first one, starts what runs beside requests."""
        await migrate(self.config.database_url)
        await self.bus.start()
        await self.gate.start()
        await self.known_models.start()
        await self.kept.start()
        self.shipper.start()
        self.metrics.start()
        self.discovery.start()
        self.sync.start()
        self.plane.departures.start()
        self.drain.start()
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
            rest.push_async_callback(self.repeated.stop)
            rest.push_async_callback(self.answers.stop)
            for step in (self.access_log.close, self.metrics.close, self.traces.close, self.journal.close):
                rest.callback(step)
            rest.push_async_callback(self.shipper.stop)
            for upstream in self.upstreams.values():
                rest.push_async_callback(upstream.close)
            rest.push_async_callback(self.discovery.stop)
            rest.push_async_callback(self.sync.stop)
            rest.callback(self.plane.departures.stop)

    @asynccontextmanager
    async def syncing(self) -> AsyncIterator[Sync]:
        """What fetches the model lists, without a server around it."""
        await migrate(self.config.database_url)
        await self.bus.start()
        try:
            yield self.sync
        finally:
            for upstream in self.upstreams.values():
                await upstream.close()
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


def providers_of(config: Config, report: Callable[[str], None]) -> tuple[dict[str, Provider], tuple[Prefix, ...]]:
    """Every provider, plug-ins included, and the prefix table with theirs; `report` is told what cannot be used."""
    classes = discover(report)
    adapters = {name: make(settings, classes) for name, settings in config.providers.items()}
    if config.plugins is None or not config.plugins.is_dir():
        return adapters, config.prefixes
    from headgate.providers import plugin_files

    loaded = plugin_files.load(config.plugins, lookup(), config.timeouts, adapters)
    for notice in loaded.notices:
        report(notice)
    rows = sorted((*config.prefixes, *loaded.prefixes), key=lambda row: len(row.prefix), reverse=True)
    return adapters | loaded.providers, tuple(rows)


def catalogue_of(config: Config, adapters: Mapping[str, Provider], prefixes: tuple[Prefix, ...]) -> Catalogue:
    """What is known before any provider was asked; a route is listed as an alias is."""
    routes = {
        name: tuple(f"{leg.provider}/{leg.model}" for leg in route.legs()) for name, route in config.routes.items()
    }
    cards = {name: [*provider.cards(), *told(config.catalogue, name)] for name, provider in adapters.items()}
    unready = [name for name, provider in adapters.items() if not provider.ready]
    return Catalogue(adapters, config.aliases | routes, prefixes, cards, unready=unready)


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


def told(catalogue: CatalogueSettings, provider: str) -> Iterator[ModelCard]:
    """What the settings say of a provider's models."""
    for name, facts in catalogue.models.items():
        first, _, model = name.partition("/")
        if first == provider:
            yield ModelCard(id=model, provider=provider, source="settings", **asdict(facts))
