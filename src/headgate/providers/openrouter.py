"""OpenRouter: many services behind one account."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import ClassVar

import msgspec

from headgate.errors import UpstreamError, UpstreamRefused
from headgate.providers.base import Provider
from headgate.providers.failure import Said, failure_from, read_error
from headgate.types import ModelCard

ABILITIES = ("tools", "structured_outputs", "reasoning", "web_search_options", "logprobs")
"""Which of a row's `supported_parameters` are abilities of the model rather than settings of a call."""


class OpenRouter(Provider):
    """The OpenRouter platform: OpenAI's wires, prices in its catalogue and the true cost in every usage object.

    `HTTP-Referer` and `X-Title`, which name the calling application, come from the settings' headers. Usage and cost
    need no asking: they are in every answer (https://openrouter.ai/docs/use-cases/usage-accounting).
    """

    name = "openrouter"
    base_url = "https://openrouter.ai/api/v1"
    base_env = ("OPENROUTER_API_BASE_URL",)
    key_env = ("OPENROUTER_API_KEY",)
    paths: ClassVar = {"chat": "/chat/completions", "completions": "/completions", "embeddings": "/embeddings"}
    models_path = "/models"

    def failure(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> UpstreamError:
        """The words of the service behind it are in `error.metadata.raw`; a 403 with `reasons` is a moderation of this
        request, not a fault of the key (https://openrouter.ai/docs/api-reference/errors)."""
        said = read_error(body)
        details = _details(said.details)
        if details.raw:
            said = Said(f"{said.message}: {details.provider_name}: {details.raw}", said.code, said.param)
        if status == 403 and details.reasons:
            text = self.scrub(f"{self.name}: {said.message} ({', '.join(details.reasons)})")
            return UpstreamRefused(text, code="content_filter", upstream_status=status)
        return failure_from(self.name, status, headers, said, self.scrub)

    def models(self, body: bytes) -> list[ModelCard]:
        return [
            ModelCard(
                id=row.id,
                provider=self.name,
                name=row.name,
                created=int(row.created or 0),
                context_length=row.context_length,
                prompt_price_per_1k=_per_1k(row.pricing.prompt),
                completion_price_per_1k=_per_1k(row.pricing.completion),
                modality=(row.architecture and row.architecture.modality) or "",
                abilities=tuple(name for name in ABILITIES if name in (row.supported_parameters or ())),
            )
            for row in self.read_models(body, _ModelList).data
        ]


class _Pricing(msgspec.Struct, frozen=True):
    prompt: str | float | None = None
    completion: str | float | None = None


class _Architecture(msgspec.Struct, frozen=True):
    modality: str | None = None


class _ModelRow(msgspec.Struct):
    id: str
    name: str = ""
    created: float | None = None
    context_length: int | None = None
    pricing: _Pricing = _Pricing()
    architecture: _Architecture | None = None
    supported_parameters: list[str] | None = None


class _ModelList(msgspec.Struct):
    data: list[_ModelRow]


class _Details(msgspec.Struct):
    provider_name: str = ""
    raw: str = ""
    reasons: list[str] = []


def _details(raw: msgspec.Raw) -> _Details:
    try:
        return msgspec.json.decode(raw, type=_Details)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Details()


def _per_1k(per_token: str | float | None) -> float | None:
    """USD for 1,000 tokens; None where unsaid, or `-1`, which marks a price that depends on the model it picks."""
    try:
        price = Decimal(str(per_token))
    except InvalidOperation:
        return None
    return float(price * 1000) if price.is_finite() and price >= 0 else None
