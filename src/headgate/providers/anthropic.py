"""Anthropic's own service. Its wire, `messages`, is in `wire/messages`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import msgspec

from headgate.errors import UpstreamError, UpstreamRateLimited
from headgate.providers.base import Headers, Provider, epoch_s
from headgate.types import ModelCard, Secret

VERSION = b"2023-06-01"


class Anthropic(Provider):
    """The Anthropic platform: the key in `x-api-key`, and a dated version of the interface in every call."""

    name = "anthropic"
    base_url = "https://api.anthropic.com"
    base_env = ("ANTHROPIC_API_BASE",)
    key_env = ("ANTHROPIC_API_KEY",)
    paths: ClassVar = {"messages": "/v1/messages"}
    models_path = "/v1/models?limit=1000"

    def credential(self, key: Secret | None) -> Headers:
        shown = [(b"x-api-key", key.reveal().encode())] if key else []
        return [*shown, (b"anthropic-version", VERSION)]

    def failure(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> UpstreamError:
        """An account without credit is said as a 400: it is no fault of the request, and the account should rest."""
        error = super().failure(status, headers, body)
        if status == 400 and "credit balance is too low" in error.message:
            return UpstreamRateLimited(error.message, code="insufficient_quota", upstream_status=400)
        return error

    def models(self, body: bytes) -> list[ModelCard]:
        rows = self.read_models(body, _ModelList).data
        return [
            ModelCard(id=row.id, provider=self.name, name=row.display_name, created=epoch_s(row.created_at))
            for row in rows
        ]


class _ModelRow(msgspec.Struct):
    id: str
    display_name: str = ""
    created_at: str = ""


class _ModelList(msgspec.Struct):
    data: list[_ModelRow]
