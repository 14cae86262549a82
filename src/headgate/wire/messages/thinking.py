"""Whether and how much an Anthropic model is asked to think, under the conditions that its service sets.

Source: the Anthropic guide, "Extended thinking": at least 1,024 tokens and fewer than `max_tokens`; no temperature, no
`top_k`, `top_p` from 0.95; no forced tool; an assistant turn that used a tool begins with the thinking it came from.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from headgate.wire import effort
from headgate.wire.conversation import Conversation, Settings, Thinking, ToolCall
from headgate.wire.messages.request_shapes import ThinkingOption

LEAST = 1_024
ANSWER_TOKENS = 4_096
"""`max_tokens` is required; this many where the caller set no bound."""


class Thought(msgspec.Struct, frozen=True):
    """The decision. `refused` says that the caller's wish for reasoning could not be met."""

    max_tokens: int
    option: ThinkingOption | None = None
    refused: bool = False

    @property
    def on(self) -> bool:
        return self.option is not None and self.option.type == "enabled"


def plan(conversation: Conversation) -> Thought:
    """The caller's bound on tokens is never raised: a budget that does not fit in it becomes half of it.

    For an adaptive model the budget stands for an effort, which nothing bounds and only a forced tool forbids.
    """
    settings = conversation.settings
    bound = settings.max_tokens or ANSWER_TOKENS
    wish = settings.thinking_tokens
    if wish is None:
        if settings.effort is None:
            return Thought(bound)
        wish = effort.budget_of(settings.effort)
    if wish == 0:
        return Thought(bound, ThinkingOption("disabled"))
    if wish is None or _forced(conversation) or not (settings.adaptive or _fits(conversation)):
        return Thought(bound, refused=True)
    budget = max(wish, LEAST)
    if settings.max_tokens is None:
        bound = budget + ANSWER_TOKENS
    elif budget >= bound and not settings.adaptive:
        budget = max(bound // 2, LEAST)
    return Thought(bound, ThinkingOption("enabled", budget))


def sampling(settings: Settings, thinking: bool) -> Settings:
    """The settings with what Anthropic takes of temperature (at most 1), `top_p` and `top_k`."""
    temperature, top_p = settings.temperature, settings.top_p
    if not thinking:
        return replace(settings, temperature=None if temperature is None else min(temperature, 1.0))
    return replace(
        settings,
        temperature=temperature if temperature == 1 else None,
        top_p=top_p if top_p is not None and top_p >= 0.95 else None,
        top_k=None,
    )


def _forced(conversation: Conversation) -> bool:
    choice = conversation.tool_choice
    return bool(conversation.tools and choice and choice.mode in ("required", "tool"))


def _fits(conversation: Conversation) -> bool:
    """Whether there is room for a budget, and the last use of a tool shows the thinking it came from."""
    if (conversation.settings.max_tokens or LEAST + 1) <= LEAST:
        return False
    said = [message.parts for message in conversation.messages if message.role == "assistant"]
    last = said[-1] if said else ()
    called = any(isinstance(part, ToolCall) for part in last)
    return not called or any(isinstance(part, Thinking) and (part.signature or part.redacted) for part in last)
