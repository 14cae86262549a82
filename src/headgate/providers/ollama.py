"""An Ollama server: one's own, or its hosted one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

import msgspec

from headgate.errors import UpstreamError, UpstreamRefused
from headgate.providers.base import Provider, epoch_s
from headgate.types import ModelCard

_UNKNOWN = re.compile(r"model ['\"]?([^'\"\s]+)['\"]? not found")


class Ollama(Provider):
    """An Ollama server: OpenAI's wires and its own. It needs no key; the hosted one takes `OLLAMA_API_KEY`."""

    name = "ollama"
    base_url = "http://localhost:11434"
    base_env = ("OLLAMA_BASE_URL",)
    key_env = ("OLLAMA_API_KEY",)
    key_needed = False
    paths: ClassVar = {
        "chat": "/v1/chat/completions",
        "completions": "/v1/completions",
        "embeddings": "/v1/embeddings",
        "ollama": "/api/chat",
        "ollama_embed": "/api/embed",
    }
    models_path = "/api/tags"

    def failure(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> UpstreamError:
        """A model that is not there is named together with the command that brings it."""
        error = super().failure(status, headers, body)
        unknown = _UNKNOWN.search(error.message)
        if status != 404 or unknown is None:
            return error
        text = f"{self.name}: model {unknown[1]!r} is not on this server; bring it with `ollama pull {unknown[1]}`"
        return UpstreamRefused(text, param="model", code="model_not_found", upstream_status=404)

    def models(self, body: bytes) -> list[ModelCard]:
        """Every model under its full name, and under its bare one where its tag is `latest`."""
        cards = []
        for row in self.read_models(body, _Tags).models:
            bare = row.name.removesuffix(":latest")
            names = (row.name,) if bare == row.name else (bare, row.name)
            cards += [ModelCard(id=name, provider=self.name, created=epoch_s(row.modified_at)) for name in names]
        return cards


class _Tag(msgspec.Struct):
    name: str
    modified_at: str = ""


class _Tags(msgspec.Struct):
    models: list[_Tag]
