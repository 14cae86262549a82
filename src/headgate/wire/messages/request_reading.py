"""A caller's messages request, read into the neutral conversation."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from headgate.errors import BadRequest, WireNotServed
from headgate.wire.conversation import (
    AnyPart,
    Conversation,
    File,
    Image,
    Message,
    OutputFormat,
    Settings,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from headgate.wire.messages.request_shapes import (
    AnyBlock,
    Base64Source,
    DocumentBlock,
    FileSource,
    ImageBlock,
    MessagesRequest,
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
from headgate.wire.openai import read_body, unread

_decode = msgspec.json.Decoder(MessagesRequest).decode
_CARRIED = frozenset(MessagesRequest.__struct_fields__) - {"service_tier", "cache_control"}
_MODES: dict[str, Literal["auto", "none", "required", "tool"]] = {
    "auto": "auto",
    "none": "none",
    "any": "required",
    "tool": "tool",
}


def read(body: bytes) -> Conversation:
    """Raises `BadRequest` with the path of the field, `WireNotServed` for blocks and tools that only Anthropic runs."""
    try:
        asked = read_body(_decode, body)
    except BadRequest as error:
        if error.param and error.param.endswith("].type"):
            raise WireNotServed(f"{error.message}: only Anthropic has such blocks", param=error.param) from None
        raise
    return Conversation(
        model=asked.model,
        messages=(*_read_system(asked.system), *_read_turns(asked.messages)),
        tools=tuple(_read_tool(tool, f"tools[{index}]") for index, tool in enumerate(asked.tools or ())),
        tool_choice=_read_choice(asked.tool_choice),
        settings=_read_settings(asked),
        stream=bool(asked.stream),
        unread=unread(body, _CARRIED),
    )


def _read_settings(asked: MessagesRequest) -> Settings:
    config, thinking, choice = asked.output_config, asked.thinking, asked.tool_choice
    output = (config.format if config else None) or asked.output_format
    budget = thinking.budget_tokens if thinking else None
    return Settings(
        max_tokens=asked.max_tokens or None,
        temperature=asked.temperature,
        top_p=asked.top_p,
        top_k=asked.top_k,
        stop=tuple(asked.stop_sequences or ()),
        effort=config.effort if config else None,
        thinking_tokens=0 if thinking and thinking.type in ("disabled", "between_tools") else budget,
        parallel_tools=False if choice and choice.disable_parallel_tool_use else None,
        format=OutputFormat("schema", schema=output.schema) if output else None,
        user=asked.metadata.user_id if asked.metadata else None,
    )


def _read_choice(choice: ToolChoiceOption | None) -> ToolChoice | None:
    if choice is None:
        return None
    if choice.type == "tool" and not choice.name:
        raise BadRequest("`tool_choice.name`: name the tool that must be called", param="tool_choice.name")
    return ToolChoice(_MODES[choice.type], choice.name or "")


def _read_tool(tool: ToolDefinition, path: str) -> Tool:
    if tool.type not in (None, "custom"):
        raise WireNotServed(f"`{path}`: {tool.type} is a tool that only Anthropic runs", param=path)
    if tool.input_schema is None:
        path += ".input_schema"
        raise BadRequest(f"`{path}`: give the JSON schema of the tool's input", param=path)
    return Tool(tool.name, tool.description or "", tool.input_schema, tool.strict)


def _read_system(system: str | Sequence[TextBlock] | None) -> Iterator[Message]:
    if system:
        yield Message("system", _texts(system))


def _read_turns(turns: list[Turn]) -> Iterator[Message]:
    """One message a turn, but for tool results: each is a message of its own, before the user's."""
    for position, turn in enumerate(turns):
        parts = tuple(_read_content(turn.content, f"messages[{position}].content"))
        if turn.role != "user":
            yield Message(turn.role, parts)
            continue
        results = tuple(part for part in parts if isinstance(part, ToolResult))
        yield from (Message("tool", (result,)) for result in results)
        if len(results) < len(parts) or not parts:
            yield Message("user", tuple(part for part in parts if not isinstance(part, ToolResult)))


def _read_content(content: str | Sequence[AnyBlock], path: str) -> Iterator[AnyPart]:
    if isinstance(content, str):
        yield from _texts(content)
        return
    for position, block in enumerate(content):
        yield from _read_block(block, f"{path}[{position}]")


def _read_block(block: AnyBlock, path: str) -> Iterator[AnyPart]:
    match block:
        case TextBlock():
            yield from _texts([block])
        case ImageBlock():
            yield _image(block, path)
        case DocumentBlock():
            yield from _texts(block.context or "")
            yield _document(block)
        case ThinkingBlock():
            yield Thinking(block.thinking, block.signature)
        case RedactedThinkingBlock():
            yield Thinking(redacted=block.data)
        case ToolUseBlock():
            yield ToolCall(block.id, block.name, bytes(block.input).decode())
        case ToolResultBlock():
            yield _result(block, path)


def _result(block: ToolResultBlock, path: str) -> ToolResult:
    content = block.content or ""
    if isinstance(content, str):
        return ToolResult(block.tool_use_id, _texts(content), bool(block.is_error))
    parts: list[Text | Image] = []
    for position, part in enumerate(content):
        if isinstance(part, TextBlock):
            parts += _texts([part])
        else:
            parts.append(_image(part, f"{path}.content[{position}]"))
    return ToolResult(block.tool_use_id, tuple(parts), bool(block.is_error))


def _texts(content: str | Sequence[TextBlock]) -> tuple[Text, ...]:
    if isinstance(content, str):
        return (Text(content),) if content else ()
    return tuple(Text(block.text, cache=block.cache_control is not None) for block in content if block.text)


def _image(block: ImageBlock, path: str) -> Image:
    match block.source:
        case Base64Source() as source:
            return Image(data=source.data, media_type=source.media_type)
        case URLSource(url=url):
            return Image(url=url)
        case FileSource():
            raise WireNotServed(f"`{path}.source`: an image stored at Anthropic cannot go elsewhere", param=path)


def _document(block: DocumentBlock) -> File:
    title = block.title or ""
    match block.source:
        case Base64Source() as source:
            return File(source.data, source.media_type, filename=title)
        case PlainTextSource() as source:
            return File(base64.b64encode(source.data.encode()).decode(), source.media_type, filename=title)
        case URLSource(url=url):
            return File(url=url, filename=title)
        case FileSource(file_id=file_id):
            return File(file_id=file_id, filename=title)
