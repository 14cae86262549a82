"""Whether headgate lives, and whether it is ready: pages without a key, and the metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from time import monotonic

import msgspec

from headgate import __version__
from headgate.edge.drain import Drain
from headgate.edge.reply import Scope, Send, new_request_id, send_error, send_json
from headgate.errors import HeadgateError, MethodNotAllowed
from headgate.wire.base import encode
from headgate.wire.chat import CHAT

Page = Callable[[Scope, Send], Awaitable[None]]
Check = Callable[[], Awaitable[object]]


class Component(msgspec.Struct):
    name: str
    status: str
    latency_ms: float


class Report(msgspec.Struct):
    """What `/health` says."""

    status: str
    version: str
    components: list[Component]


class Health:
    """`live` is true while the process answers; `ready` only while all its parts answer too and it is to stay."""

    def __init__(self, checks: Mapping[str, Check], metrics: Callable[[], tuple[bytes, str]], drain: Drain) -> None:
        self._checks = checks
        self._drain = drain
        self._metrics = metrics
        self.pages: dict[str, Page] = {
            "/health/live": read_only(self.live),
            "/health/ready": read_only(self.ready),
            "/health": read_only(self.whole),
            "/api/v1/health": read_only(self.whole),
            "/metrics": read_only(self.metrics),
        }

    async def live(self, scope: Scope, send: Send) -> None:
        await send_json(send, 200, b'{"status":"ok"}', [])

    async def ready(self, scope: Scope, send: Send) -> None:
        report = await self._report()
        await send_json(send, 200 if report.status == "ok" else 503, encode(report), [])

    async def whole(self, scope: Scope, send: Send) -> None:
        await send_json(send, 200, encode(await self._report()), [])

    async def metrics(self, scope: Scope, send: Send) -> None:
        body, media_type = self._metrics()
        headers = [(b"content-type", media_type.encode()), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _report(self) -> Report:
        components = [await self._component(name, check) for name, check in self._checks.items()]
        well = all(component.status == "ok" for component in components)
        status = "draining" if self._drain.draining else "ok" if well else "degraded"
        return Report(status, __version__, components)

    async def _component(self, name: str, check: Check) -> Component:
        began = monotonic()
        try:
            await check()
            status = "ok"
        except (HeadgateError, TimeoutError):
            status = "unavailable"
        return Component(name, status, round((monotonic() - began) * 1000, 3))


def read_only(page: Page) -> Page:
    """A page that takes GET and HEAD only."""

    async def answer(scope: Scope, send: Send) -> None:
        if scope["method"] in ("GET", "HEAD"):
            await page(scope, send)
        else:
            error = MethodNotAllowed("this page takes GET only", allow="GET")
            await send_error(send, error, CHAT, scope["path"], new_request_id())

    return answer
