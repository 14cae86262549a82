"""OpenAI's own API: chat, completions, embeddings, models, and what its newer models refuse."""

from __future__ import annotations

import re
from typing import ClassVar

from headgate.testing.answers import Refused, Reply
from headgate.testing.dialects.base import Call, Route
from headgate.testing.dialects.chat import ChatBody
from headgate.testing.dialects.completions import CompletionsDialect

_REASONS = re.compile(r"o\d|gpt-[5-9](?!-chat)")

REQUESTS = 10_000
TOKENS = 2_000_000


class OpenAI(CompletionsDialect):
    """api.openai.com. Reasoning is counted and never shown."""

    name = "openai"
    prefix = "/openai"
    base = "/v1"
    library: ClassVar[tuple[str, ...]] = (
        "gpt-4o",
        "gpt-4o-mini",
        "gpt-3.5-turbo",
        "gpt-5",
        "o3",
        "text-embedding-3-small",
        "text-embedding-ada-002",
        "gpt-3.5-turbo-instruct",
    )

    def routes(self) -> list[Route]:
        return [
            *super().routes(),
            Route("GET", "/v1/models/{model}", self.show_model),
        ]

    def headers(self, call: Call) -> dict[str, str]:
        return super().headers(call) | {
            "openai-processing-ms": "1",
            "openai-version": "2020-10-01",
            "x-ratelimit-limit-requests": str(REQUESTS),
            "x-ratelimit-limit-tokens": str(TOKENS),
            "x-ratelimit-remaining-requests": str(max(REQUESTS - 1 - call.number, 0)),
            "x-ratelimit-remaining-tokens": str(max(TOKENS - len(call.request.body) // 4, 0)),
            "x-ratelimit-reset-requests": "6ms",
            "x-ratelimit-reset-tokens": "1m0s",
        }

    def check(self, body: ChatBody) -> None:
        if not _REASONS.match(body.model):
            return
        if body.max_tokens is not None:
            said = "Unsupported parameter: 'max_tokens'; this model takes 'max_completion_tokens'."
            raise Refused(400, said, code="unsupported_parameter", param="max_tokens")
        for name, value, default in (
            ("temperature", body.temperature, 1),
            ("top_p", body.top_p, 1),
            ("presence_penalty", body.presence_penalty, 0),
            ("frequency_penalty", body.frequency_penalty, 0),
        ):
            if value not in (None, default):
                said = f"Unsupported value: this model takes no {name!r} but {default}, the default."
                raise Refused(400, said, code="unsupported_value", param=name)

    def show_model(self, call: Call) -> Reply:
        self.admit(call)
        if not self.has(call.in_path):
            raise self.no_model(call.in_path)
        return self.whole(call, self.model_row(call.in_path))
