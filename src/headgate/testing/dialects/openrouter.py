"""OpenRouter: the price in every answer, who served it, comments while it works, and a catalogue with prices."""

from __future__ import annotations

import msgspec

from headgate.testing.answers import Answer, Finish, Refused
from headgate.testing.dialects.base import CREATED, Call, Object
from headgate.testing.dialects.completions import CompletionsDialect
from headgate.testing.dialects.events import event
from headgate.types import Usage

PROMPT_NANO = 250
COMPLETION_NANO = 1_250
"""Nanodollars a token, the same for every model of the fake."""


class OpenRouter(CompletionsDialect):
    """openrouter.ai/api/v1."""

    name = "openrouter"
    prefix = "/openrouter"
    library = ("openai/gpt-4o", "anthropic/claude-sonnet-4", "meta-llama/llama-3.3-70b-instruct")
    reasoning_field = "reasoning"
    usage_in_stream = "own"
    waiting_whole = b"\n\n"
    waiting_stream = b": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\n"
    root = ""

    def error_object(self, refused: Refused) -> Object:
        return {"message": refused.message, "code": refused.status}

    def error_event(self, call: Call, refused: Refused) -> bytes:
        choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
        return event(
            {
                "id": "gen-fake",
                "object": "chat.completion.chunk",
                "created": CREATED,
                "model": "unknown",
                "provider": "Fake",
                "error": self.error_object(refused),
                "choices": [choice],
            }
        )

    def model_row(self, model: str) -> Object:
        return {
            "id": model,
            "canonical_slug": model,
            "name": model,
            "created": CREATED,
            "description": "",
            "context_length": 128_000,
            "architecture": {"modality": "text->text", "input_modalities": ["text"], "output_modalities": ["text"]},
            "pricing": {"prompt": _dollars(PROMPT_NANO), "completion": _dollars(COMPLETION_NANO), "request": "0"},
            "top_provider": {"context_length": 128_000, "max_completion_tokens": 16_384, "is_moderated": False},
            "supported_parameters": ["max_tokens", "temperature", "tools", "tool_choice"],
        }

    def envelope(self, call: Call, model: str) -> Object:
        return super().envelope(call, model) | {"id": f"gen-fake{call.number}", "provider": "Fake"}

    def ending(self, finish: Finish) -> Object:
        return {"native_finish_reason": finish}

    def reasoning(self, text: str) -> Object:
        if not text:
            return {}
        detail = {"type": "reasoning.text", "text": text, "format": "unknown", "index": 0}
        return {"reasoning": text, "reasoning_details": [detail]}

    def charge(self, answer: Answer, prompt: int, copies: int, model: str) -> Usage:
        usage = answer.charge(prompt, copies)
        if usage.cost_nano is not None:
            return usage
        cost = usage.prompt * PROMPT_NANO + usage.completion * COMPLETION_NANO
        return msgspec.structs.replace(usage, cost_nano=cost)

    def usage_object(self, usage: Usage, model: str) -> Object:
        return {
            "prompt_tokens": usage.prompt,
            "completion_tokens": usage.completion,
            "total_tokens": usage.total,
            "cost": (usage.cost_nano or 0) / 1e9,
            "is_byok": False,
            "prompt_tokens_details": {"cached_tokens": usage.cached},
            "cost_details": {"upstream_inference_cost": None},
            "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
        }


def _dollars(nano: int) -> str:
    return f"{nano / 1e9:.9f}".rstrip("0")
