"""DeepSeek's own service."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from headgate.providers.base import Fields, Provider, encode

_REASONING = b"reasoning_content"

_decode_messages = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode


class DeepSeek(Provider):
    """The DeepSeek platform: OpenAI's wire, with a history of its own rules about past reasoning."""

    name = "deepseek"
    base_url = "https://api.deepseek.com/v1"
    base_env = ("DEEPSEEK_API_BASE",)
    key_env = ("DEEPSEEK_API_KEY",)
    paths: ClassVar = {"chat": "/chat/completions"}
    models_path = "/models"
    renames: ClassVar = {"max_completion_tokens": "max_tokens"}

    def adjust(self, wire: str, model: str, fields: Fields) -> tuple[str, ...]:
        """Past reasoning goes back only where thinking mode asks for it: with tools, where leaving it out is a 400
        (https://api-docs.deepseek.com/guides/thinking_mode, tool calls). Elsewhere the service ignores it, or, for its
        older reasoner, refuses it."""
        dropped = super().adjust(wire, model, fields)
        messages = bytes(fields.get("messages", b""))
        if _REASONING in messages and not _asks_for_reasoning(fields, messages):
            fields["messages"] = _without_reasoning(fields["messages"])
        return dropped


def _asks_for_reasoning(fields: Fields, messages: bytes) -> bool:
    if b'"disabled"' in bytes(fields.get("thinking", b"")):
        return False
    return "tools" in fields or b'"tool_calls"' in messages


def _without_reasoning(messages: msgspec.Raw) -> msgspec.Raw:
    """Messages of no known shape stay as they are: the service says what is wrong with them."""
    try:
        read = _decode_messages(messages)
    except msgspec.ValidationError:
        return messages
    for message in read:
        message.pop("reasoning_content", None)
    return msgspec.Raw(encode(read))
