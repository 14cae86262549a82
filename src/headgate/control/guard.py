"""Who may use the control plane: an owner, found by the same gate as the data plane's callers."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from headgate.access.gate import Gate
from headgate.edge.reply import said_headers
from headgate.types import Caller


async def owner(request: Request) -> Caller:
    """The caller, when it is an owner. Raises `NotAuthenticated` or `NotAllowed`."""
    gate: Gate = request.app.state.gate
    said = said_headers(request.scope["headers"])
    caller = await gate.identify(said.get(b"authorization"), said.get(b"x-api-key"))
    gate.require_owner(caller)
    return caller


Owner = Annotated[Caller, Depends(owner)]
