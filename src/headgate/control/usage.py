"""`GET /api/v1/admin/usage`: what was used, row by row, newest first."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel

from headgate.control.guard import Owner
from headgate.ledger.repository import UsageFilter, UsageRepository

router = APIRouter(prefix="/api/v1/admin", tags=["Admin"])
