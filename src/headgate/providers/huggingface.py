"""HuggingFace's router: chat from many services, vectors from its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import msgspec

from headgate.errors import UpstreamError
from headgate.providers.base import Provider


class HuggingFace(Provider):
    """The HuggingFace inference router. A model is `org/name`, with `:provider`, `:fastest` or `:cheapest` behind it
    where the caller chooses who runs it."""

    name = "huggingface"
    base_url = "https://router.huggingface.co"
    key_env = ("HUGGINGFACE_API_TOKEN", "HF_TOKEN")
    paths: ClassVar = {
        "chat": "/v1/chat/completions",
        "features": "/hf-inference/models/{model}/pipeline/feature-extraction",
    }
    models_path = "/v1/models"

    def url(self, wire: str, model: str) -> str:
        """The feature-extraction path is one provider's own: a choice of provider has no place in it."""
        return super().url(wire, model.partition(":")[0] if wire == "features" else model)

    def failure(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> UpstreamError:
        """A 503 with `estimated_time` means that the model is loading, and for how many seconds."""
        if status == 503 and b"retry-after" not in headers:
            headers = {**headers, b"retry-after": _estimated_s(body)}
        return super().failure(status, headers, body)


class _Loading(msgspec.Struct):
    estimated_time: float


def _estimated_s(body: bytes) -> bytes:
    try:
        return b"%f" % msgspec.json.decode(body, type=_Loading).estimated_time
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return b""
