"""The neutral conversation, written as a messages request for a provider."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from typing import Literal, TypeVar

import msgspec

from headgate.errors import WireNotServed
from headgate.wire.base import Written, encode
from headgate.wire.conversation import (
    Audio,
    Citation,
    Conversation,
    File,
    Image,
    Message,
    Refusal,
    Settings,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from headgate.wire.messages.request_shapes import (
    AnyBlock,
    Base64Source,
    CacheControl,
    DocumentBlock,
    FileSource,
    ImageBlock,
    JSONOutput,
    MessagesRequest,
    Metadata,
    OutputConfig,
    PlainTextSource,
    RedactedThinkingBlock,
    TextBlock,
    ThinkingBlock,
    ToolChoiceOption,
    ToolDefinition,
    ToolResultBlock,
    ToolUseBlock,
    Turn,
    URLSource,
)
from headgate.wire.messages.thinking import Thought, plan, sampling
from headgate.wire.openai import open_body

_CHOICES: dict[str, Literal["auto", "any", "tool", "none"]] = {
    "auto": "auto",
    "none": "none",
    "required": "any",
    "tool": "tool",
}
Block = TypeVar("Block", bound=AnyBlock)
_FOREIGN = re.compile(r"[^a-zA-Z0-9_-]")


def write(conversation: Conversation) -> Written:
    """Raises `WireNotServed` for sound, for text around a gap, for other files than PDF and text, and for a call whose
    arguments are no JSON object; names the settings that had to go."""
    if conversation.suffix:
        raise WireNotServed("`suffix`: this model only continues text, it does not fill gaps", param="suffix")
    thought = plan(conversation)
    settings = sampling(conversation.settings, thought.on)
    system, turns = _turns(conversation.messages)
    request = MessagesRequest(
        model=conversation.model,
        messages=turns,
        max_tokens=thought.max_tokens,
        system=_brief(system) if system else None,
        stream=conversation.stream or None,
        temperature=settings.temperature,
        top_p=settings.top_p,
        top_k=settings.top_k,
        stop_sequences=list(settings.stop) or None,
        tools=[_write_tool(tool) for tool in conversation.tools] or None,
        tool_choice=_write_choice(conversation),
        thinking=thought.option,
        output_config=_write_output(settings),
        metadata=Metadata(settings.user) if settings.user else None,
    )
    return Written(open_body(encode(request)), tuple(_dropped(conversation, thought)))


def _dropped(conversation: Conversation, thought: Thought) -> Iterator[str]:
    settings = conversation.settings
    for name in ("seed", "presence_penalty", "frequency_penalty", "top_logprobs", "metadata"):
        if getattr(settings, name) is not None:
            yield name
    if settings.logprobs:
        yield "logprobs"
    if (settings.choices or 1) > 1:
        yield "n"
    taken = sampling(settings, thought.on)
    for name in ("temperature", "top_p", "top_k"):
        if getattr(taken, name) != getattr(settings, name):
            yield name
    if thought.refused:
        yield "reasoning_effort"
    if settings.format and settings.format.kind == "json":
        yield "response_format"
    if not conversation.tools and (conversation.tool_choice or settings.parallel_tools is not None):
        yield "tool_choice"
    if any(message.name for message in conversation.messages):
        yield "name"
    parts = [part for message in conversation.messages for part in message.parts]
    if any(isinstance(part, Image) and part.detail for part in parts):
        yield "detail"
    if any(isinstance(part, Thinking) and not (part.signature or part.redacted) for part in parts):
        yield "reasoning_content"


def _write_output(settings: Settings) -> OutputConfig | None:
    if settings.format is None or settings.format.kind == "json":
        return None
    return OutputConfig(JSONOutput(settings.format.schema or {}))


def _write_tool(tool: Tool) -> ToolDefinition:
    schema = {"type": "object", **(tool.parameters or {"properties": {}})}
    return ToolDefinition(tool.name, schema, tool.description or None, tool.strict or None)


def _write_choice(conversation: Conversation) -> ToolChoiceOption | None:
    choice, single = conversation.tool_choice, conversation.settings.parallel_tools is False
    if not conversation.tools or (choice is None and not single):
        return None
    kind = _CHOICES[choice.mode if choice else "auto"]
    return ToolChoiceOption(
        kind,
        (choice.name or None) if choice else None,
        True if single and kind != "none" else None,
    )


def _turns(messages: Sequence[Message]) -> tuple[list[TextBlock], list[Turn]]:
    """The system prompt, which stands apart, and turns that alternate."""
    system: list[TextBlock] = []
    turns: list[tuple[str, list[AnyBlock]]] = []
    for position, message in enumerate(messages):
        blocks = list(_blocks(message, f"messages[{position}]"))
        if message.role in ("system", "developer"):
            system += [block for block in blocks if isinstance(block, TextBlock)]
        elif blocks:
            role = "assistant" if message.role == "assistant" else "user"
            if not turns or turns[-1][0] != role:
                turns.append((role, []))
            turns[-1][1].extend(blocks)
    if not turns:
        return [], [Turn("user", _brief(system))]
    return system, [_turn(role, blocks) for role, blocks in turns]


def _turn(role: str, blocks: list[AnyBlock]) -> Turn:
    if role == "assistant":
        return Turn("assistant", _brief(blocks))
    return Turn("user", _brief(sorted(blocks, key=lambda block: not isinstance(block, ToolResultBlock))))


def _brief(blocks: Sequence[Block]) -> str | Sequence[Block]:
    if len(blocks) == 1 and isinstance(block := blocks[0], TextBlock) and block.cache_control is None:
        return block.text
    return blocks


def _blocks(message: Message, path: str) -> Iterator[AnyBlock]:
    for part in message.parts:
        match part:
            case Text() | Refusal():
                yield from _texts([part])
            case Image():
                yield _image(part)
            case File():
                yield _document(part, path)
            case ToolCall():
                yield _call(part, path)
            case ToolResult():
                yield _result(part)
            case Thinking(redacted=data) if data:
                yield RedactedThinkingBlock(data)
            case Thinking(signature=signature) if signature:
                yield ThinkingBlock(part.text, signature)
            case Audio():
                raise WireNotServed(f"`{path}`: this model does not listen to sound", param=f"{path}.content")
            case Thinking() | Citation():
                continue  # Anthropic refuses reasoning that it did not sign; citations are no part of a history


def _texts(parts: Sequence[Text | Refusal]) -> Iterator[TextBlock]:
    for part in parts:
        if part.text:
            yield TextBlock(part.text, CacheControl("ephemeral") if isinstance(part, Text) and part.cache else None)


def _image(image: Image) -> ImageBlock:
    return ImageBlock(URLSource(image.url) if image.url else Base64Source(image.media_type, image.data))


def _document(file: File, path: str) -> DocumentBlock:
    title = file.filename or None
    if file.url:
        return DocumentBlock(URLSource(file.url), title)
    if file.file_id:
        return DocumentBlock(FileSource(file.file_id), title)
    if file.media_type == "application/pdf":
        return DocumentBlock(Base64Source(file.media_type, file.data), title)
    if file.media_type != "text/plain":
        raise WireNotServed(f"`{path}`: this model reads PDF and text, no {file.media_type}", param=f"{path}.content")
    try:
        return DocumentBlock(PlainTextSource("text/plain", base64.b64decode(file.data, validate=True).decode()), title)
    except (binascii.Error, UnicodeDecodeError):
        raise WireNotServed(f"`{path}`: the file is no base64 of UTF-8 text", param=f"{path}.content") from None


def _call(call: ToolCall, path: str) -> ToolUseBlock:
    """Arguments go in as they stand, if they are what Anthropic takes."""
    arguments = call.arguments.strip().encode() or b"{}"
    try:
        if not isinstance(msgspec.json.decode(arguments), dict):
            raise msgspec.DecodeError("no object")
    except (msgspec.DecodeError, RecursionError):
        raise WireNotServed(
            f"`{path}`: this model's provider takes tool calls only with a JSON object as arguments, which those of "
            f"{call.id} are not",
            param=f"{path}.tool_calls",
        ) from None
    return ToolUseBlock(_own_id(call.id), call.name, msgspec.Raw(arguments))


def _result(result: ToolResult) -> ToolResultBlock:
    blocks = [block for part in result.content for block in _shown(part)]
    return ToolResultBlock(_own_id(result.call_id), _brief(blocks) or None, result.failed or None)


def _shown(part: Text | Image) -> Iterator[TextBlock | ImageBlock]:
    if isinstance(part, Text):
        yield from _texts([part])
    else:
        yield _image(part)


def _own_id(call_id: str) -> str:
    """Anthropic takes letters, digits, `_` and `-` in the ids of calls; other providers make ids with more."""
    return _FOREIGN.sub("_", call_id)
