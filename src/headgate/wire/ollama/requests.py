"""Requests of Ollama's native chat, read into the neutral conversation and written out of it."""

from __future__ import annotations

from typing import Literal

import msgspec

from headgate.errors import WireNotServed
from headgate.wire.base import Written, encode
from headgate.wire.conversation import (
    AnyPart,
    Citation,
    Conversation,
    Image,
    OutputFormat,
    Settings,
    Text,
    Thinking,
    Tool,
    ToolResult,
)
from headgate.wire.effort import effort_of
from headgate.wire.ollama.messages import read_messages, write_messages
from headgate.wire.ollama.shapes import ChatRequest, OfferedFunction, OfferedTool, Options
from headgate.wire.openai import open_body, read_body, unread

_decode = msgspec.json.Decoder(ChatRequest).decode
_LEVELS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "max"}
"""What Ollama calls an effort (docs.ollama.com/capabilities/thinking)."""


def read(body: bytes) -> Conversation:
    asked = read_body(_decode, body)
    options = unread(encode(open_body(body).get("options")), Options.__struct_fields__) if asked.options else ()
    return Conversation(
        model=asked.model,
        messages=tuple(read_messages(asked.messages or ())),
        tools=tuple(_read_tool(tool.function) for tool in asked.tools or ()),
        settings=_read_settings(asked, asked.options or Options()),
        stream=asked.stream is not False,
        unread=(*unread(body, ChatRequest.__struct_fields__), *(f"options.{name}" for name in options)),
    )


def _read_settings(asked: ChatRequest, options: Options) -> Settings:
    limit = options.num_predict
    return Settings(
        max_tokens=limit if limit and limit > 0 else None,
        temperature=options.temperature,
        top_p=options.top_p,
        top_k=options.top_k,
        stop=(options.stop,) if isinstance(options.stop, str) else tuple(options.stop or ()),
        seed=options.seed,
        presence_penalty=options.presence_penalty,
        frequency_penalty=options.frequency_penalty,
        effort="medium" if asked.think is True else asked.think or None,
        thinking_tokens=0 if asked.think is False else None,
        format=_read_format(asked),
    )


def _read_format(asked: ChatRequest) -> OutputFormat | None:
    if isinstance(asked.format, dict):
        return OutputFormat("schema", schema=asked.format)
    return OutputFormat("json") if asked.format else None


def _read_tool(said: OfferedFunction) -> Tool:
    return Tool(said.name, said.description or "", said.parameters)


def write(conversation: Conversation) -> Written:
    """Raises `WireNotServed` for content that Ollama cannot carry; names the settings that had to go."""
    if conversation.suffix:
        raise WireNotServed("`suffix`: this model only continues text, it does not fill gaps", param="suffix")
    choice = conversation.tool_choice
    tools = () if choice and choice.mode == "none" else conversation.tools
    request = ChatRequest(
        model=conversation.model,
        messages=list(write_messages(conversation.messages)),
        tools=[_write_tool(tool) for tool in tools] or None,
        format=_write_format(conversation.settings.format),
        options=_write_options(conversation.settings),
        think=_write_think(conversation.settings),
        stream=conversation.stream,
    )
    return Written(open_body(encode(request)), _dropped(conversation))


def _write_options(settings: Settings) -> Options | None:
    options = Options(
        num_predict=settings.max_tokens,
        temperature=settings.temperature,
        top_p=settings.top_p,
        top_k=settings.top_k,
        stop=list(settings.stop) or None,
        seed=settings.seed,
        presence_penalty=settings.presence_penalty,
        frequency_penalty=settings.frequency_penalty,
    )
    return None if options == Options() else options


def _write_think(settings: Settings) -> bool | str | None:
    if settings.effort == "none" or (settings.effort is None and settings.thinking_tokens == 0):
        return False
    effort = settings.effort or (effort_of(settings.thinking_tokens) if settings.thinking_tokens else "")
    return _LEVELS.get(effort)


def _write_format(wanted: OutputFormat | None) -> Literal["json"] | dict[str, object] | None:
    if wanted is None:
        return None
    return "json" if wanted.schema is None else wanted.schema


def _write_tool(tool: Tool) -> OfferedTool:
    return OfferedTool(OfferedFunction(tool.name, tool.description or None, tool.parameters))


def _dropped(conversation: Conversation) -> tuple[str, ...]:
    settings, choice = conversation.settings, conversation.tool_choice
    parts = [part for message in conversation.messages for part in message.parts]
    gone = {
        "n": settings.choices not in (None, 1),
        "logprobs": settings.logprobs is not None,
        "top_logprobs": settings.top_logprobs is not None,
        "reasoning_effort": settings.effort is not None and settings.effort not in ("none", *_LEVELS),
        "parallel_tool_calls": settings.parallel_tools is not None,
        "tool_choice": choice is not None and choice.mode in ("required", "tool"),
        "user": settings.user is not None,
        "metadata": settings.metadata is not None,
        "name": any(message.name for message in conversation.messages),
        **_dropped_parts(parts),
    }
    return tuple(name for name, went in gone.items() if went)


def _dropped_parts(parts: list[AnyPart]) -> dict[str, bool]:
    return {
        "annotations": any(isinstance(part, Citation) for part in parts),
        "cache_control": any(isinstance(part, Text) and part.cache for part in parts),
        "detail": any(isinstance(part, Image) and part.detail for part in parts),
        "is_error": any(isinstance(part, ToolResult) and part.failed for part in parts),
        "reasoning_details": any(isinstance(part, Thinking) and part.redacted for part in parts),
    }
