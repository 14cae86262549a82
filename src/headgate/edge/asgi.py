"""The data plane's door: raw ASGI in front of the control plane. Paths are looked up whole; only that of one
model begins with the list's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from time import time_ns

from headgate.edge.deferred import App
from headgate.edge.departure import Departures, Stay
from headgate.edge.drain import Drain
from headgate.edge.endpoints import ENDPOINTS, MODELS, NO_MODELS, Endpoint
from headgate.edge.health import Health
from headgate.edge.models import Listing
from headgate.edge.reply import Message, Receive, Scope, Send, new_request_id, said_headers, send_error, send_json
from headgate.edge.sink import Body, HttpSink
from headgate.engine.exchange import Exchange
from headgate.engine.gateway import Gateway
from headgate.engine.kept import KeptAnswers
from headgate.errors import HeadgateError, InternalError, Interrupted, MethodNotAllowed
from headgate.wire.base import encode

log = logging.getLogger(__name__)


class DataPlane:
    """Answers the inference routes, the model list, health and metrics; everything else goes to the control plane."""

    def __init__(
        self, gateway: Gateway, kept: KeptAnswers, health: Health, drain: Drain, control: App, body_limit: int
    ) -> None:
        self._gateway = gateway
        self._drain = drain
        self._control = control
        self._body_limit = body_limit
        self._listing = Listing(gateway.gate, kept)
        self.departures = Departures()
        self._inference = {endpoint.path: endpoint for endpoint in ENDPOINTS}
        self._pages = {**health.pages, **dict.fromkeys(MODELS, self._listing.all)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._drain.draining:
            send = last_on_its_connection(send)
        if scope["type"] == "websocket":
            await refuse_upgrade(receive, send)
        elif scope["method"] == "GET" and asks_for_websocket(scope):
            await send_json(send, 426, UPGRADE_REFUSED, [(b"upgrade", b"HTTP/1.1")])
        elif (endpoint := self._inference.get(scope["path"])) is not None:
            await self._infer(endpoint, scope, receive, send)
        elif (page := self._page(scope["path"])) is not None:
            await page(scope, send)
        else:
            await self._control(scope, receive, send)

    def _page(self, path: str) -> Callable[[Scope, Send], Awaitable[None]] | None:
        if (page := self._pages.get(path)) is not None:
            return page
        one = path.startswith(tuple(f"{models}/" for models in MODELS)) and path not in NO_MODELS
        return self._listing.one if one else None

    async def _infer(self, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> None:
        stay = self.departures.arrive(receive)
        exchange = self._exchange(endpoint, scope, stay, send)
        try:
            if scope["method"] != "POST":
                raise MethodNotAllowed(f"{endpoint.path} takes POST only", allow="POST")
            await self._gateway.serve(exchange)
        except HeadgateError as error:
            await self._fail(error, exchange, send)
        except asyncio.CancelledError:
            if not stay.left:
                await self._fail(Interrupted("headgate stops; ask again"), exchange, send)
                raise
        except Exception:
            log.exception("request %s failed", exchange.request_id)
            await self._fail(InternalError("headgate failed; its log says why, under this request id"), exchange, send)
        finally:
            self.departures.depart(stay)

    def _exchange(self, endpoint: Endpoint, scope: Scope, stay: Stay, send: Send) -> Exchange:
        request_id = new_request_id()
        said = said_headers(scope["headers"])
        return Exchange(
            request_id=request_id,
            route=endpoint.path,
            wire=endpoint.wire,
            body=Body(stay, self._body_limit, said.get(b"content-length")),
            sink=HttpSink(send, request_id, endpoint.wire, stay),
            authorization=said.get(b"authorization"),
            api_key=said.get(b"x-api-key"),
            at_us=time_ns() // 1000,
            began=stay.since,
            session=said.get(b"x-claude-code-session-id", b"").decode("latin-1")[:128],
            timeout_ms=said.get(b"x-headgate-timeout-ms"),
            idempotency_key=said.get(b"idempotency-key"),
            cache_control=said.get(b"cache-control", b""),
        )

    async def _fail(self, error: HeadgateError, exchange: Exchange, send: Send) -> None:
        sink = exchange.sink
        if not sink.begun:
            await send_error(send, error, exchange.wire, exchange.route, exchange.request_id)
        elif not sink.ended:
            await sink.write(exchange.wire.error_event(error, exchange.request_id))
            await sink.end()


def last_on_its_connection(send: Send) -> Send:
    """Tells the client to connect anew for its next request: who waits on an idle connection would be cut off."""

    async def closing(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (b"connection", b"close")]
        await send(message)

    return closing


def asks_for_websocket(scope: Scope) -> bool:
    """Whether a plain request asks to become a WebSocket: what a server that speaks none makes of the handshake."""
    return any(name == b"upgrade" and value.lower() == b"websocket" for name, value in scope["headers"])


async def refuse_upgrade(receive: Receive, send: Send) -> None:
    """426 for a WebSocket: clients fall back to plain requests at once, where a 404 makes them wait and try again."""
    await receive()
    headers = [(b"content-type", b"application/json"), (b"upgrade", b"HTTP/1.1")]
    await send({"type": "websocket.http.response.start", "status": 426, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": UPGRADE_REFUSED})


UPGRADE_REFUSED = encode(
    {"error": {"message": "WebSocket is not served here", "type": "invalid_request_error", "param": None, "code": None}}
)
