"""Services that speak OpenAI's wires and have few habits of their own: a row each, or a few lines of configuration."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from headgate.config import ProviderSettings
from headgate.providers.base import Provider

CHAT = ("chat",)
TEXT = ("chat", "completions")
VECTORS = ("chat", "embeddings")
ALL = ("chat", "completions", "embeddings")

_PATHS = {"chat": "/chat/completions", "completions": "/completions", "embeddings": "/embeddings"}


class Compatible(Provider):
    """Any service with OpenAI's wires behind a base URL. It needs a key where the settings name a variable for one."""

    name = "compatible"
    key_needed = False
    paths = _PATHS
    models_path = "/models"

    def __init__(self, settings: ProviderSettings) -> None:
        super().__init__(settings)
        self.key_needed = type(self).key_needed or bool(settings.key_env)


class Row(msgspec.Struct, frozen=True):
    """One service by name. It needs the key in `{NAME}_API_KEY`, unless `local`; `{NAME}_BASE_URL` replaces its URL."""

    name: str
    base_url: str
    wires: tuple[str, ...] = ALL
    local: bool = False
    models_path: str = "/models"
    renames: Mapping[str, str] = {}
    drops: tuple[str, ...] = ()


ROWS = (
    Row(
        "cerebras",
        "https://api.cerebras.ai/v1",
        TEXT,
        drops=("frequency_penalty", "presence_penalty", "logit_bias", "parallel_tool_calls", "service_tier"),
    ),
    Row("dashscope", "https://dashscope.aliyuncs.com/compatible-mode/v1", VECTORS),
    Row("deepinfra", "https://api.deepinfra.com/v1/openai"),
    Row("fireworks", "https://api.fireworks.ai/inference/v1"),
    Row("groq", "https://api.groq.com/openai/v1", CHAT, drops=("logprobs", "top_logprobs", "logit_bias")),
    Row("llamacpp", "http://localhost:8080/v1", local=True),
    Row("lmstudio", "http://localhost:1234/v1", local=True),
    Row("minimax", "https://api.minimax.io/v1", CHAT),
    Row(
        "mistral",
        "https://api.mistral.ai/v1",
        VECTORS,
        renames={"max_completion_tokens": "max_tokens", "seed": "random_seed"},
        drops=("logprobs", "top_logprobs", "logit_bias", "user", "store", "service_tier", "stream_options"),
    ),
    Row("moonshot", "https://api.moonshot.ai/v1", CHAT),
    Row("nvidia", "https://integrate.api.nvidia.com/v1"),
    Row("perplexity", "https://api.perplexity.ai", CHAT, models_path=""),
    Row("sambanova", "https://api.sambanova.ai/v1", VECTORS),
    Row("together", "https://api.together.xyz/v1"),
    Row("vllm", "", local=True),
    Row("xai", "https://api.x.ai/v1", CHAT),
    Row("zai", "https://api.z.ai/api/paas/v4", CHAT),
)
"""The listed services, by name. vLLM has no URL of its own because its usual port is the gateway's."""


def listed(row: Row) -> type[Compatible]:
    """The class that a row stands for."""
    facts: dict[str, object] = {
        "__doc__": f"The service `{row.name}`, as its row in `compatible` says.",
        "__module__": __name__,
        "name": row.name,
        "base_url": row.base_url,
        "base_env": (f"{row.name.upper()}_BASE_URL",),
        "key_env": (f"{row.name.upper()}_API_KEY",),
        "key_needed": not row.local,
        "paths": {wire: _PATHS[wire] for wire in row.wires},
        "models_path": row.models_path,
        "renames": row.renames,
        "drops": frozenset(row.drops),
    }
    return type(row.name.capitalize(), (Compatible,), facts)


PROVIDERS: tuple[type[Provider], ...] = tuple(listed(row) for row in ROWS)
