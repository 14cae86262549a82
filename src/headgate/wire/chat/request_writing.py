"""The neutral conversation, written as a chat completions request for a provider."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from headgate.errors import WireNotServed
from headgate.wire import effort
from headgate.wire.base import Written, encode
from headgate.wire.chat import reasoning
from headgate.wire.chat.request_shapes import (
    AnyMessage,
    AssistantMessage,
    AudioPart,
    ChatRequest,
    DeveloperMessage,
    FileBody,
    FilePart,
    FunctionCall,
    FunctionDefinition,
    FunctionTool,
    FunctionToolCall,
    ImagePart,
    ImageURL,
    InputAudio,
    JSONObjectFormat,
    JSONSchema,
    JSONSchemaFormat,
    NamedFunction,
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
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from headgate.wire.openai import open_body


def write(conversation: Conversation) -> Written:
    """Raises `WireNotServed` for files by address and for text around a gap; names the settings that had to go."""
    if conversation.suffix:
        raise WireNotServed("`suffix`: this model only continues text, it does not fill gaps", param="suffix")
    settings, dropped = conversation.settings, _dropped(conversation)
    request = ChatRequest(
        model=conversation.model,
        messages=list(_write_messages(conversation.messages)),
        stream=conversation.stream or None,
        max_tokens=settings.max_tokens,
        temperature=settings.temperature,
        top_p=settings.top_p,
        n=settings.choices,
        stop=list(settings.stop) or None,
        seed=settings.seed,
        presence_penalty=settings.presence_penalty,
        frequency_penalty=settings.frequency_penalty,
        logprobs=settings.logprobs,
        top_logprobs=settings.top_logprobs,
        tools=[_write_tool(tool) for tool in conversation.tools] or None,
        tool_choice=_write_choice(conversation.tool_choice),
        parallel_tool_calls=settings.parallel_tools if conversation.tools else None,
        response_format=_write_format(settings.format),
        reasoning_effort=settings.effort
        or (effort.effort_of(settings.thinking_tokens) if settings.thinking_tokens else None),
        metadata=settings.metadata,
        user=settings.user,
    )
    return Written(open_body(encode(request)), dropped)


def _dropped(conversation: Conversation) -> tuple[str, ...]:
    parts = [part for message in conversation.messages for part in message.parts]
    gone = {
        "top_k": conversation.settings.top_k is not None,
        "thinking": conversation.settings.thinking_tokens == 0,
        "parallel_tool_calls": conversation.settings.parallel_tools is not None and not conversation.tools,
        "cache_control": any(isinstance(part, Text) and part.cache for part in parts),
        "is_error": any(isinstance(part, ToolResult) and part.failed for part in parts),
    }
    return tuple(name for name, went in gone.items() if went)


def _write_format(wanted: OutputFormat | None) -> JSONObjectFormat | JSONSchemaFormat | None:
    if wanted is None:
        return None
    if wanted.kind == "json":
        return JSONObjectFormat()
    return JSONSchemaFormat(
        JSONSchema(wanted.name or "answer", wanted.description or None, wanted.schema, wanted.strict)
    )


def _write_tool(tool: Tool) -> FunctionTool:
    return FunctionTool(FunctionDefinition(tool.name, tool.description or None, tool.parameters, tool.strict))


def _write_choice(choice: ToolChoice | None) -> NamedFunction | Literal["auto", "none", "required"] | None:
    if choice is None:
        return None
    return NamedFunction(ToolName(choice.name)) if choice.mode == "tool" else choice.mode


def _write_messages(messages: tuple[Message, ...]) -> Iterator[AnyMessage]:
    shown: list[ImagePart] = []
    for message in messages:
        if message.role == "tool":
            for part in message.parts:
                if isinstance(part, ToolResult):
                    yield _write_result(part)
                    shown += [_write_image(shot) for shot in part.content if isinstance(shot, Image)]
            continue
        if shown:
            yield UserMessage(list(shown))
            shown.clear()
        yield _write_message(message)
    if shown:
        yield UserMessage(list(shown))


def _write_result(result: ToolResult) -> ToolMessage:
    """The text of a result. OpenAI takes images from users only, so those follow in a user's message."""
    return ToolMessage(result.call_id, _plain([part for part in result.content if isinstance(part, Text)]))


def _plain(texts: list[Text]) -> str | list[TextPart]:
    return [TextPart(text.text) for text in texts] if len(texts) > 1 else "".join(text.text for text in texts)


def _write_message(message: Message) -> AnyMessage:
    texts = [part for part in message.parts if isinstance(part, Text)]
    name = message.name or None
    if message.role == "assistant":
        return _write_assistant(message, texts)
    if message.role == "system":
        return SystemMessage(_plain(texts), name)
    if message.role == "developer":
        return DeveloperMessage(_plain(texts), name)
    if len(texts) == len(message.parts):
        return UserMessage(_plain(texts), name)
    return UserMessage([_write_part(part) for part in message.parts], name)


def _write_assistant(message: Message, texts: list[Text]) -> AssistantMessage:
    calls = [
        FunctionToolCall(part.id, FunctionCall(part.name, part.arguments))
        for part in message.parts
        if isinstance(part, ToolCall)
    ]
    thought, details = reasoning.write([part for part in message.parts if isinstance(part, Thinking)])
    return AssistantMessage(
        content=_plain(texts) if texts or not calls else None,
        refusal="".join(part.text for part in message.parts if isinstance(part, Refusal)) or None,
        tool_calls=calls or None,
        name=message.name or None,
        reasoning_content=thought,
        reasoning_details=details,
    )


def _write_part(part: AnyPart) -> TextPart | ImagePart | AudioPart | FilePart:
    match part:
        case Text():
            return TextPart(part.text)
        case Image():
            return _write_image(part)
        case Audio():
            return AudioPart(InputAudio(part.data, part.format))
        case File(url=""):
            data = f"data:{part.media_type};base64,{part.data}" if part.data else None
            return FilePart(FileBody(data, part.file_id or None, part.filename or None))
        case _:
            raise WireNotServed(f"chat cannot carry this in a user's message: {type(part).__name__.lower()}")


def _write_image(image: Image) -> ImagePart:
    url = image.url or f"data:{image.media_type};base64,{image.data}"
    return ImagePart(ImageURL(url, image.detail or None))
