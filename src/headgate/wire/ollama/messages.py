"""Turns of a conversation as Ollama's messages, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from headgate.errors import BadRequest, WireNotServed
from headgate.wire.conversation import (
    AnyPart,
    Citation,
    Image,
    Message,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from headgate.wire.ollama.shapes import Call, CalledFunction, ChatMessage

_MEDIA_TYPES = {"iVBORw0KGgo": "image/png", "/9j/": "image/jpeg", "R0lGOD": "image/gif", "UklGR": "image/webp"}
"""By how the base64 of a file of that type begins."""
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class CallIds:
    """Gives an id to each tool call that has none, and finds the call that a result without an id belongs to."""

    def __init__(self) -> None:
        self._given = 0
        self._open: list[tuple[str, str]] = []

    def give(self, call: Call) -> str:
        given = call.id or f"call_{self._given}"
        self._given += 1
        self._open.append((given, call.function.name))
        return given

    def answered_by(self, message: ChatMessage, path: str) -> str:
        """The id of the call that this `tool` message answers: what it says, else the first open one of its name."""
        if said := message.tool_call_id:
            self._open = [call for call in self._open if call[0] != said]
            return said
        found = next((call for call in self._open if call[1] == (message.tool_name or call[1])), None)
        if found is None:
            raise BadRequest(f"`{path}`: no open tool call before this result has its `tool_name`", param=path)
        self._open.remove(found)
        return found[0]


def read_messages(messages: Iterable[ChatMessage]) -> Iterator[Message]:
    ids = CallIds()
    for position, message in enumerate(messages):
        path = f"messages[{position}]"
        if message.role is None:
            raise BadRequest(f"`{path}.role`: say `system`, `user`, `assistant` or `tool`", param=f"{path}.role")
        if message.role == "tool":
            content: tuple[Text | Image, ...] = (*_texts(message), *_images(message, path))
            yield Message("tool", (ToolResult(ids.answered_by(message, path), content),))
        else:
            yield Message(message.role, read_parts(message, ids, tuple(_images(message, path))))


def read_parts(message: ChatMessage, ids: CallIds, images: tuple[Image, ...] = ()) -> tuple[AnyPart, ...]:
    """Thinking, text, images and tool calls, in this order: the dialect has no other."""
    thinking = (Thinking(message.thinking),) if message.thinking else ()
    calls = (
        ToolCall(ids.give(call), call.function.name, bytes(call.function.arguments).decode())
        for call in message.tool_calls or ()
    )
    return (*thinking, *_texts(message), *images, *calls)


def _texts(message: ChatMessage) -> tuple[Text, ...]:
    return (Text(message.content),) if message.content else ()


def _images(message: ChatMessage, path: str) -> Iterator[Image]:
    for position, data in enumerate(message.images or ()):
        found = (kind for start, kind in _MEDIA_TYPES.items() if data.startswith(start))
        if (media_type := next(found, None)) is None:
            where = f"{path}.images[{position}]"
            raise BadRequest(f"`{where}`: give the base64 of a PNG, JPEG, GIF or WebP image", param=where)
        yield Image(data=data, media_type=media_type)


def write_messages(messages: Iterable[Message]) -> Iterator[ChatMessage]:
    """Raises `WireNotServed` for images by address, audio, files and tool arguments that are no object."""
    names: dict[str, str] = {}
    for position, message in enumerate(messages):
        path = f"messages[{position}]"
        names |= {part.id: part.name for part in message.parts if isinstance(part, ToolCall)}
        if message.role == "tool":
            for part in message.parts:
                if isinstance(part, ToolResult):
                    yield _write_result(part, names.get(part.call_id), path)
        else:
            yield write_message(message, path)


def write_message(message: Message, path: str = "message") -> ChatMessage:
    role = "system" if message.role == "developer" else message.role
    said = [part.text for part in message.parts if isinstance(part, Text | Refusal)]
    thought = [part.text for part in message.parts if isinstance(part, Thinking)]
    calls = [part for part in message.parts if isinstance(part, ToolCall)]
    return ChatMessage(
        role=role,
        content="\n".join(said),
        thinking="".join(thought) or None,
        images=list(_write_images(message.parts, path)) or None,
        tool_calls=[write_call(call, index, path) for index, call in enumerate(calls)] or None,
    )


def write_call(call: ToolCall, index: int, path: str) -> Call:
    arguments = call.arguments.encode() or b"{}"
    try:
        _object(arguments)
    except (msgspec.DecodeError, RecursionError):
        where = f"{path}.tool_calls[{index}].function.arguments"
        raise WireNotServed(f"`{where}`: Ollama takes only a JSON object here", param=where) from None
    return Call(CalledFunction(call.name, msgspec.Raw(arguments), index), call.id)


def _write_result(result: ToolResult, name: str | None, path: str) -> ChatMessage:
    texts = [part.text for part in result.content if isinstance(part, Text)]
    images = list(_write_images(result.content, path))
    return ChatMessage("tool", "\n".join(texts), images=images or None, tool_name=name, tool_call_id=result.call_id)


def _write_images(parts: Iterable[AnyPart], path: str) -> Iterator[str]:
    for part in parts:
        match part:
            case Image(url=""):
                yield part.data
            case Image():
                raise WireNotServed(f"`{path}`: Ollama takes images as base64 data, not by address", param=path)
            case Text() | Refusal() | Thinking() | ToolCall() | Citation():
                continue
            case _:
                kind = type(part).__name__.lower()
                raise WireNotServed(f"`{path}`: Ollama cannot carry this in a message: {kind}", param=path)
