"""DeepSeek: reasoning beside the content, its own cache counts, and signs of life while a call waits."""

from __future__ import annotations

from headgate.testing.answers import Refused
from headgate.testing.dialects.base import Object, Route
from headgate.testing.dialects.chat import ChatBody, ChatDialect
from headgate.types import Usage


class DeepSeek(ChatDialect):
    """api.deepseek.com. It reads `max_tokens` and passes over `max_completion_tokens`."""

    name = "deepseek"
    prefix = "/deepseek"
    library = ("deepseek-chat", "deepseek-reasoner")
    reasoning_field = "reasoning_content"
    usage_in_stream = "last"
    waiting_whole = b"\n\n"
    waiting_stream = b": keep-alive\n\n: keep-alive\n\n"
    root = ""

    def routes(self) -> list[Route]:
        return [*super().routes(), Route("POST", "/v1/chat/completions", self.chat)]

    def limit(self, body: ChatBody) -> int | None:
        return body.max_tokens

    def check(self, body: ChatBody) -> None:
        if body.model != "deepseek-reasoner":
            return
        for index, message in enumerate(body.messages):
            if message.reasoning_content:
                raise Refused(400, f"messages[{index}] brings reasoning_content back, which this model does not take.")

    def usage_object(self, usage: Usage, model: str) -> Object:
        return {
            "prompt_tokens": usage.prompt,
            "completion_tokens": usage.completion,
            "total_tokens": usage.total,
            "prompt_tokens_details": {"cached_tokens": usage.cached},
            "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
            "prompt_cache_hit_tokens": usage.cached,
            "prompt_cache_miss_tokens": usage.prompt - usage.cached,
        }
