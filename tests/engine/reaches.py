"""Providers of the fake upstream, reached over real connections."""

from __future__ import annotations

from collections.abc import Iterable

from headgate.engine.exchange import Exchange, Served, Sink
from headgate.engine.reach import Credential, Reach
from headgate.ledger.meter import Meter, Tab
from headgate.providers.compatible import Compatible
from headgate.routing.routes import NO_ROUTES
from headgate.testing import FakeUpstream
from headgate.types import DEFAULT, Plan, Record, Target
from headgate.upstream.base import Limits, Upstream
from headgate.wire.base import Ask, encode
from headgate.wire.chat import CHAT
from tests.providers.configured import configured


class NoSink:
    """Where no answer goes."""

    begun = False
    ended = False

    async def whole(self, body: bytes, served: Served) -> None: ...

    async def begin(self, media_type: str, served: Served) -> None: ...

    async def write(self, data: bytes) -> None: ...

    async def end(self) -> None: ...


NO_SINK = NoSink()
LIMITS = Limits(connect_s=2, first_byte_s=2, idle_s=2, total_s=5)


def reach(name: str, url: str, client: Upstream) -> Reach:
    """An OpenAI-compatible provider at this base URL, with the canary key."""
    provider = configured(Compatible, name=name, base_url=url)
    key = provider.settings.first_key
    credential = Credential(key, [*provider.headers(key), (b"content-type", b"application/json")])
    return Reach(provider, client, LIMITS, {CHAT.name: CHAT}, {DEFAULT: credential})


def ask(*, stream: bool = False) -> Ask:
    said = {"model": "asked", "stream": stream, "messages": [{"role": "user", "content": "one two three"}]}
    return CHAT.ask(encode(said))


def plan(*targets: str) -> Plan:
    """Targets written as `provider/model`."""
    return NO_ROUTES.plan("asked", tuple(Target(*target.split("/", 1)) for target in targets), "alias")


def exchange(sink: Sink = NO_SINK) -> Exchange:
    """A request in the dialect of chat."""
    return Exchange(
        request_id="req_1",
        route="/v1/chat/completions",
        wire=CHAT,
        body=unread,
        sink=sink,
        authorization=None,
        api_key=None,
        at_us=0,
        began=0.0,
    )


async def unread() -> bytes:
    raise AssertionError("the body was read already")


class NoBook:
    """Writes nothing down."""

    def opened(self, record: Record) -> None: ...

    def closed(self, record: Record) -> None: ...


def tab() -> Tab:
    return Meter(NoBook(), ()).tab(request_id="req_1", route="/v1/chat/completions", at_us=0, began=0.0, session="")


def reaches(client: Upstream, fake: FakeUpstream, names: Iterable[str]) -> dict[str, Reach]:
    """Several names for the one fake."""
    return {name: reach(name, fake.base_url("openai"), client) for name in names}
