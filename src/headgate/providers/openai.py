"""OpenAI itself. Services that merely speak its wires are in `compatible`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from headgate.errors import UpstreamError, UpstreamRefused
from headgate.providers.base import Fields, Provider, drop, rename
from headgate.providers.failure import read_error

_REASONING = re.compile(r"(?:ft:)?(?:o\d|gpt-(?:[5-9]|\d\d)(?!-chat))")
"""Models that think before they answer: the o series and everything from gpt-5 on, but for its chat models."""

_QUIET = re.compile(r"gpt-5\.[12](?:-\d{4}-\d\d-\d\d)?$")
"""Models that think only when asked: their default effort is `none`."""

_PENALTIES = frozenset({"presence_penalty", "frequency_penalty", "logit_bias"})
_SAMPLING = frozenset({"temperature", "top_p", "logprobs", "top_logprobs"})


class OpenAI(Provider):
    """The OpenAI platform: key as a bearer token, and reasoning models that refuse the sampling settings."""

    name = "openai"
    base_url = "https://api.openai.com/v1"
    base_env = ("OPENAI_BASE_URL", "OPENAI_API_BASE")
    key_env = ("OPENAI_API_KEY",)
    paths: ClassVar = {"chat": "/chat/completions", "completions": "/completions", "embeddings": "/embeddings"}
    models_path = "/models"

    def adjust(self, wire: str, model: str, fields: Fields) -> tuple[str, ...]:
        """A reasoning model takes `max_completion_tokens` and refuses sampling settings, all of them while it thinks
        (https://platform.openai.com/docs/guides/latest-model, parameter compatibility)."""
        if wire != "chat" or not _REASONING.match(model):
            return ()
        rename(fields, "max_tokens", "max_completion_tokens")
        return drop(fields, _PENALTIES if _thinks_not(model, fields) else _PENALTIES | _SAMPLING)

    def failure(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> UpstreamError:
        """A 403 for one model that the project may not use is the request's fault, not the key's."""
        if status == 403 and read_error(body).code == "model_not_found":
            message = self.scrub(read_error(body).message)
            return UpstreamRefused(
                f"{self.name}: {message}", param="model", code="model_not_found", upstream_status=403
            )
        return super().failure(status, headers, body)


def _thinks_not(model: str, fields: Fields) -> bool:
    effort = bytes(fields["reasoning_effort"]) if "reasoning_effort" in fields else b"null"
    return effort == b'"none"' or (effort == b"null" and bool(_QUIET.match(model)))
