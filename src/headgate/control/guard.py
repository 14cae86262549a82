"""Who may use the control plane: an owner, found by the same gate as the data plane's callers."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from headgate.access.gate import Gate
from headgate.types import Caller


async def owner(request: Request) -> Caller:
    """The caller, when it is an owner. Raises `NotAuthenticated` or `NotAllowed`."""
    gate: Gate = request.app.state.gate
    authorization, key = (request.headers.get(name) for name in ("authorization", "x-api-key"))
    caller = await gate.identify(
        authorization.encode("latin-1") if authorization is not None else None,
        key.encode("latin-1") if key is not None else None,
    )
    gate.require_owner(caller)
    return caller


Owner = Annotated[Caller, Depends(owner)]
