"""Who may use the control plane: an owner, or for some pages any caller, found by the data plane's own gate."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from headgate.access.gate import Gate
from headgate.edge.reply import said_headers
from headgate.types import Caller


async def known(request: Request) -> Caller:
    """The caller, whoever it is. Raises `NotAuthenticated`."""
    gate: Gate = request.app.state.gate
    said = said_headers(request.scope["headers"])
    return await gate.identify(said.get(b"authorization"), said.get(b"x-api-key"))


Known = Annotated[Caller, Depends(known)]


async def owner(request: Request, caller: Known) -> Caller:
    """The caller, when it is an owner. Raises `NotAuthenticated` or `NotAllowed`."""
    gate: Gate = request.app.state.gate
    gate.require_owner(caller)
    return caller


Owner = Annotated[Caller, Depends(owner)]
