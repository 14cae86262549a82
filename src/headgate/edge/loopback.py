"""The door of a gateway whose keys are weak or that wants none: closed to everything but this machine.

Settings are checked for this at the start; but who starts the application under a server of their own
(`uvicorn headgate:app --host 0.0.0.0`) listens where the settings do not know of.
"""

from __future__ import annotations

from ipaddress import ip_address

from headgate.edge.deferred import App
from headgate.edge.reply import Receive, Scope, Send, send_json
from headgate.errors import NotAllowed
from headgate.wire.openai import error_body

CLOSED = NotAllowed(
    "this gateway is open, or has a weak key, and so answers on a loopback address only: "
    "set strong keys, or ALLOW_OPEN_NETWORK=true"
)


class LoopbackOnly:
    """Lets requests through that came to a loopback address, or to a socket file."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not came_by_loopback(scope.get("server")):
            await send_json(send, CLOSED.status, error_body(CLOSED, ""), [])
        else:
            await self._app(scope, receive, send)


def came_by_loopback(server: tuple[str, int | None] | None) -> bool:
    """Whether the address that a request came to is this machine's own; one without a port is a socket file."""
    if server is None or server[1] is None:
        return True
    address = ip_address(server[0].partition("%")[0])
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
