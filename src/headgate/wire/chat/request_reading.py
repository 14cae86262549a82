"""A caller's chat completions request, read into the neutral conversation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from headgate.errors import BadRequest, WireNotServed
from headgate.wire.chat import reasoning
from headgate.wire.chat.request_shapes import (
    AllowedTools,
    AnyMessage,
    AssistantMessage,
    AudioPart,
    ChatRequest,
    CustomTool,
    CustomToolCall,
    DeveloperMessage,
    FileBody,
    FilePart,
    FunctionDefinition,
    FunctionMessage,
    ImagePart,
    ImageURL,
    JSONObjectFormat,
    JSONSchemaFormat,
    NamedCustom,
    NamedFunction,
    RefusalPart,
    SystemMessage,
    TextPart,
    ToolMessage,
    ToolName,
    UserMessage,
)
from headgate.wire.conversation import (
    AnyPart,
    Audio,
    Conversation,
    File,
    Image,
    Message,
    OutputFormat,
    Refusal,
    Settings,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from headgate.wire.openai import read_body, unread

_decode = msgspec.json.Decoder(ChatRequest).decode
_UNCARRIED = {
    "audio",
    "logit_bias",
    "moderation",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "service_tier",
    "store",
    "verbosity",
    "web_search_options",
}
"""Documented fields that the conversation has no place for."""
_CARRIED = frozenset(ChatRequest.__struct_fields__) - _UNCARRIED


def read(body: bytes) -> Conversation:
    """Raises `BadRequest` with the path of the field, `WireNotServed` for what only this wire has: spoken answers and
    free-form tools."""
    asked = read_body(_decode, body)
    if "audio" in (asked.modalities or ()):
        raise WireNotServed(
            "`modalities`: spoken answers need a model that is served by chat itself", param="modalities"
        )
    tools, choice = _read_tools(asked)
    return Conversation(
        model=asked.model,
        messages=tuple(_read_messages(asked.messages)),
        tools=tools,
        tool_choice=choice,
        settings=_read_settings(asked),
        stream=bool(asked.stream),
        unread=unread(body, _CARRIED),
    )


def _read_settings(asked: ChatRequest) -> Settings:
    limit = asked.max_completion_tokens or asked.max_tokens
    stop = (asked.stop,) if isinstance(asked.stop, str) else tuple(asked.stop or ())
    wish = asked.reasoning
    return Settings(
        max_tokens=limit if limit and limit > 0 else None,
        temperature=asked.temperature,
        top_p=asked.top_p,
        top_k=asked.top_k,
        stop=stop,
        seed=asked.seed,
        presence_penalty=asked.presence_penalty,
        frequency_penalty=asked.frequency_penalty,
        choices=asked.n,
        logprobs=asked.logprobs,
        top_logprobs=asked.top_logprobs,
        effort=asked.reasoning_effort or (wish.effort if wish else None),
        thinking_tokens=_thinking_tokens(asked),
        parallel_tools=asked.parallel_tool_calls,
        format=_read_format(asked),
        user=asked.user or asked.safety_identifier,
        metadata=asked.metadata,
    )


def _thinking_tokens(asked: ChatRequest) -> int | None:
    wish, switch = asked.reasoning, asked.thinking
    if (wish and wish.enabled is False) or (switch and switch.type == "disabled"):
        return 0
    return (wish.max_tokens if wish else None) or (switch.budget_tokens if switch else None)


def _read_format(asked: ChatRequest) -> OutputFormat | None:
    match asked.response_format:
        case JSONObjectFormat():
            return OutputFormat(kind="json")
        case JSONSchemaFormat(json_schema=said):
            return OutputFormat("schema", said.name, said.schema, said.strict, said.description or "")
    return None


def _read_tools(asked: ChatRequest) -> tuple[tuple[Tool, ...], ToolChoice | None]:
    tools = []
    for position, tool in enumerate(asked.tools or ()):
        if isinstance(tool, CustomTool):
            raise _free_form(f"tools[{position}]")
        tools.append(_read_function(tool.function))
    tools += map(_read_function, asked.functions or ())
    match asked.tool_choice or asked.function_call:
        case None:
            return tuple(tools), None
        case "none" | "auto" | "required" as mode:
            return tuple(tools), ToolChoice(mode)
        case NamedFunction(function=named) | (ToolName() as named):
            return tuple(tools), ToolChoice("tool", named.name)
        case AllowedTools(allowed_tools=subset):
            allowed = {tool.function.name for tool in subset.tools if isinstance(tool, NamedFunction)}
            return tuple(tool for tool in tools if tool.name in allowed), ToolChoice(subset.mode)
        case NamedCustom():
            raise _free_form("tool_choice")


def _free_form(path: str) -> WireNotServed:
    return WireNotServed(f"`{path}`: free-form tools need a model that is served by chat itself", param=path)


def _read_function(said: FunctionDefinition) -> Tool:
    return Tool(said.name, said.description or "", said.parameters, said.strict)


def _read_messages(messages: list[AnyMessage]) -> Iterator[Message]:
    legacy_ids: dict[str, str] = {}
    for position, message in enumerate(messages):
        path = f"messages[{position}]"
        match message:
            case SystemMessage():
                yield Message("system", _texts(message.content), message.name or "")
            case DeveloperMessage():
                yield Message("developer", _texts(message.content), message.name or "")
            case UserMessage():
                yield Message("user", tuple(_user_parts(message, path)), message.name or "")
            case AssistantMessage():
                if message.function_call:
                    legacy_ids[message.function_call.name] = f"call_{position}"
                yield Message("assistant", tuple(_assistant_parts(message, path, position)), message.name or "")
            case ToolMessage():
                yield Message("tool", (_tool_result(message, path),))
            case FunctionMessage():
                result = ToolResult(legacy_ids.get(message.name, message.name), _texts(message.content or ""))
                yield Message("tool", (result,))


def _texts(content: str | Sequence[TextPart]) -> tuple[Text, ...]:
    if isinstance(content, str):
        return (Text(content),) if content else ()
    return tuple(_text(part) for part in content if part.text)


def _text(part: TextPart) -> Text:
    return Text(part.text, cache=bool(part.prompt_cache_breakpoint or part.cache_control))


def _user_parts(message: UserMessage, path: str) -> Iterator[AnyPart]:
    if isinstance(message.content, str):
        yield from _texts(message.content)
        return
    for position, part in enumerate(message.content):
        match part:
            case TextPart():
                yield from _texts([part])
            case ImagePart(image_url=image):
                yield _image(image, f"{path}.content[{position}].image_url")
            case AudioPart(input_audio=sound):
                yield Audio(sound.data, sound.format)
            case FilePart(file=file):
                yield _file(file, f"{path}.content[{position}].file")


def _assistant_parts(message: AssistantMessage, path: str, position: int) -> Iterator[AnyPart]:
    yield from reasoning.read(message)
    content = message.content or ""
    for part in [TextPart(content)] if isinstance(content, str) else content:
        if isinstance(part, RefusalPart):
            yield Refusal(part.refusal)
        else:
            yield from _texts([part])
    if message.refusal:
        yield Refusal(message.refusal)
    for index, call in enumerate(message.tool_calls or ()):
        if isinstance(call, CustomToolCall):
            raise _free_form(f"{path}.tool_calls[{index}]")
        yield ToolCall(call.id, call.function.name, call.function.arguments)
    if legacy := message.function_call:
        yield ToolCall(f"call_{position}", legacy.name, legacy.arguments)


def _tool_result(message: ToolMessage, path: str) -> ToolResult:
    if isinstance(message.content, str):
        return ToolResult(message.tool_call_id, _texts(message.content))
    return ToolResult(
        message.tool_call_id,
        tuple(
            _text(part)
            if isinstance(part, TextPart)
            else _image(part.image_url, f"{path}.content[{position}].image_url")
            for position, part in enumerate(message.content)
        ),
    )


def _image(image: ImageURL, path: str) -> Image:
    if image.url.startswith("data:"):
        media_type, data = _data_url(image.url, path)
        return Image(data=data, media_type=media_type, detail=image.detail or "")
    if "://" not in image.url:
        raise BadRequest(f"`{path}`: give an https:// address or `data:<media type>;base64,<data>`", param=path)
    return Image(url=image.url, detail=image.detail or "")


def _file(file: FileBody, path: str) -> File:
    if file.file_data is None:
        if not file.file_id:
            raise BadRequest(f"`{path}`: give `file_data` or `file_id`", param=path)
        return File(file_id=file.file_id, filename=file.filename or "")
    media_type, data = "application/pdf", file.file_data
    if data.startswith("data:"):
        media_type, data = _data_url(data, f"{path}.file_data")
    return File(data=data, media_type=media_type, filename=file.filename or "")


def _data_url(url: str, path: str) -> tuple[str, str]:
    """The media type and base64 data of a `data:` URL (RFC 2397); its other parameters go."""
    head, comma, data = url[5:].partition(",")
    if not comma or not head.endswith(";base64"):
        raise BadRequest(f"`{path}`: a data URL must read `data:<media type>;base64,<data>`", param=path)
    return head.partition(";")[0], data
