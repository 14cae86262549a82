"""What a gateway wrote down, read through its own admin route."""

from __future__ import annotations

from time import monotonic
from typing import Any

import httpx

from headgate.testing.gateway import RunningGateway

Row = dict[str, Any]
WRITTEN_S = 3.0
"""A row is written when its request is over, which may be after the caller has its answer."""


def rows(gateway: RunningGateway, **filters: str | int) -> list[Row]:
    """A page of usage rows, newest first."""
    headers = {"authorization": f"Bearer {gateway.owner_key}"}
    answer = httpx.get(f"{gateway.url}/api/v1/admin/usage", params={"limit": 1000, **filters}, headers=headers)
    assert answer.status_code == 200, answer.text
    found: list[Row] = answer.json()["data"]
    return found


def row_of(gateway: RunningGateway, request_id: str) -> Row:
    """The one row of a request. Raises `AssertionError` for none, and for two."""
    return row_where(gateway, request_id=request_id)


def row_where(gateway: RunningGateway, **facts: object) -> Row:
    """The one row that agrees with these facts."""
    until = monotonic() + WRITTEN_S
    while not (found := [row for row in rows(gateway) if facts.items() <= row.items()]):
        assert monotonic() < until, f"no row with {facts}"
    assert len(found) == 1
    return found[0]
