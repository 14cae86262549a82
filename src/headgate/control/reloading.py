"""`POST /api/v1/admin/reload`: the settings are read again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request
from pydantic import BaseModel

from headgate.control.guard import Owner
from headgate.errors import BadRequest, ConfigError
from headgate.types import Reloaded

Reload = Callable[[], Awaitable[Reloaded]]

router = APIRouter(prefix="/api/v1/admin", tags=["Admin"])


class ReloadedNames(BaseModel):
    """The names of the settings that changed, and of those that differ but need a restart to be followed."""

    changed: list[str]
    needs_restart: list[str]


@router.post("/reload", summary="Read headgate.yaml, .env and the environment again")
async def reload(request: Request, caller: Owner) -> ReloadedNames:
    """All or nothing: settings that are wrong change nothing, and are answered with their line. The other processes
    read theirs too. No request in flight fails."""
    again: Reload = request.app.state.reload
    try:
        reloaded = await again()
    except ConfigError as error:
        raise BadRequest(error.message, param=error.param, code=error.code) from None
    return ReloadedNames(changed=reloaded.changed, needs_restart=reloaded.needs_restart)
