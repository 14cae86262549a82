"""A chat completions request, field by field: its documented shapes, which translate nothing.

Source: the OpenAI API reference, "Create chat completion"; extensions are marked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec

from headgate.wire.openai import Choices, Envelope, TokenLimit

JSONObject = dict[str, Any]
Penalty = Annotated[float, msgspec.Meta(ge=-2, le=2)]
Temperature = Annotated[float, msgspec.Meta(ge=0, le=2)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Shape(msgspec.Struct, omit_defaults=True):
    """An object of this route; fields that say nothing are left out."""


class CacheControl(Shape):
    """Extension (OpenRouter): the prompt prefix that ends here may be cached."""

    type: Literal["ephemeral"] = "ephemeral"
    ttl: str | None = None


class CacheBreakpoint(Shape):
    """The prompt prefix that ends here may be cached."""

    mode: Literal["explicit"]
    ttl: str | None = None


class TextPart(Shape, tag_field="type", tag="text"):
    """Text, and whether the prompt prefix that ends with it may be cached."""

    text: str
    prompt_cache_breakpoint: CacheBreakpoint | None = None
    cache_control: CacheControl | None = None


class ImageURL(Shape):
    """An address, or the image itself as a base64 `data:` URL."""

    url: str
    detail: str | None = None


class ImagePart(Shape, tag_field="type", tag="image_url"):
    """An image for the model to look at."""

    image_url: ImageURL


class InputAudio(Shape):
    """Base64 sound in `wav` or `mp3`."""

    data: str
    format: str


class AudioPart(Shape, tag_field="type", tag="input_audio"):
    """Sound for the model to listen to."""

    input_audio: InputAudio


class FileBody(Shape):
    """A file by its id, or itself as a base64 `data:` URL."""

    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class FilePart(Shape, tag_field="type", tag="file"):
    """A file for the model to read."""

    file: FileBody


class RefusalPart(Shape, tag_field="type", tag="refusal"):
    """What the model said where it refused."""

    refusal: str


class FunctionCall(Shape):
    """`arguments` is JSON text as the model wrote it, which may be broken."""

    name: str
    arguments: str


class CustomCall(Shape):
    """A free-form call: `input` is plain text."""

    name: str
    input: str


class FunctionToolCall(Shape, tag_field="type", tag="function"):
    """A call of a function by the model."""

    id: str
    function: FunctionCall


class CustomToolCall(Shape, tag_field="type", tag="custom"):
    """A call of a free-form tool by the model."""

    id: str
    custom: CustomCall


class ReasoningDetail(Shape):
    """Extension (OpenRouter): a block of reasoning. `reasoning.text` with its `signature`, `reasoning.encrypted` with
    `data`, or `reasoning.summary`. Entries come back in the history untouched."""

    type: str
    text: str | None = None
    signature: str | None = None
    data: str | None = None
    summary: str | None = None
    id: str | None = None
    format: str | None = None
    index: int | None = None


class AudioReference(Shape):
    """An earlier spoken answer."""

    id: str


class SystemMessage(Shape, tag_field="role", tag="system"):
    """What the model is told before the conversation."""

    content: str | Sequence[TextPart]
    name: str | None = None


class DeveloperMessage(Shape, tag_field="role", tag="developer"):
    """What newer models take in place of a system message."""

    content: str | Sequence[TextPart]
    name: str | None = None


class UserMessage(Shape, tag_field="role", tag="user"):
    """What the user says, shows or attaches."""

    content: str | Sequence[TextPart | ImagePart | AudioPart | FilePart]
    name: str | None = None


class AssistantMessage(Shape, tag_field="role", tag="assistant"):
    """What the model said. `reasoning_content`, `reasoning`, `thinking` (all text) and `reasoning_details` are
    extensions under the names seen in the wild."""

    content: str | Sequence[TextPart | RefusalPart] | None = None
    refusal: str | None = None
    tool_calls: Sequence[FunctionToolCall | CustomToolCall] | None = None
    function_call: FunctionCall | None = None
    audio: AudioReference | None = None
    name: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    thinking: str | None = None
    reasoning_details: list[ReasoningDetail] | None = None


class ToolMessage(Shape, tag_field="role", tag="tool"):
    """What a tool gave back. Images in it are an extension."""

    tool_call_id: str
    content: str | Sequence[TextPart | ImagePart]


class FunctionMessage(Shape, tag_field="role", tag="function"):
    """Deprecated: what a function gave back, by its name."""

    name: str
    content: str | None = None


AnyMessage = SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage


class FunctionDefinition(Shape):
    """A function that the model may call; `parameters` is a JSON schema."""

    name: str
    description: str | None = None
    parameters: JSONObject | None = None
    strict: bool | None = None


class FunctionTool(Shape, tag_field="type", tag="function"):
    """A function as one of the tools."""

    function: FunctionDefinition


class CustomDefinition(Shape):
    """A tool that takes free-form text, within a grammar if `format` says so."""

    name: str
    description: str | None = None
    format: JSONObject | None = None


class CustomTool(Shape, tag_field="type", tag="custom"):
    """A free-form tool as one of the tools."""

    custom: CustomDefinition


class ToolName(Shape):
    """A tool by its name."""

    name: str


class NamedFunction(Shape, tag_field="type", tag="function"):
    """This function must be called."""

    function: ToolName


class NamedCustom(Shape, tag_field="type", tag="custom"):
    """This free-form tool must be called."""

    custom: ToolName


class ToolSubset(Shape):
    """Tools by name, as objects of `type` and `function`."""

    mode: Literal["auto", "required"]
    tools: list[NamedFunction | NamedCustom]


class AllowedTools(Shape, tag_field="type", tag="allowed_tools"):
    """Only these of the tools may be called."""

    allowed_tools: ToolSubset


ToolChoiceOption = Literal["none", "auto", "required"] | NamedFunction | NamedCustom | AllowedTools


class TextFormat(Shape, tag_field="type", tag="text"):
    """Plain text."""


class JSONObjectFormat(Shape, tag_field="type", tag="json_object"):
    """Any JSON object."""


class JSONSchema(Shape):
    name: str
    description: str | None = None
    schema: JSONObject | None = None
    strict: bool | None = None


class JSONSchemaFormat(Shape, tag_field="type", tag="json_schema"):
    """JSON that fits a schema."""

    json_schema: JSONSchema


class ThinkingSwitch(Shape):
    """Extension (several providers): reasoning `enabled`, with a token budget, or `disabled`."""

    type: str
    budget_tokens: int | None = None


class ReasoningWish(Shape):
    """Extension (OpenRouter): how much to reason, in words or in tokens."""

    effort: str | None = None
    max_tokens: int | None = None
    enabled: bool | None = None


MESSAGES = 8192
TOOLS = 1024
"""More of them than this is no conversation, but an attempt to make us or a provider work."""


class ChatEnvelope(Envelope, kw_only=True):
    """What is read of every request, translated or not."""

    messages: Annotated[list[msgspec.Raw], msgspec.Meta(min_length=1, max_length=MESSAGES)]
    tools: Annotated[list[msgspec.Raw], msgspec.Meta(max_length=TOOLS)] | None = None


class ChatRequest(Shape, kw_only=True):
    """A request for a chat completion. Fields that are not listed pass to upstreams of the same wire as they are.

    Extensions of several providers: `top_k`, `reasoning`, `thinking`.
    """

    model: Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
    messages: Annotated[list[AnyMessage], msgspec.Meta(min_length=1)]
    stream: bool | None = None
    stream_options: JSONObject | None = None
    max_completion_tokens: TokenLimit | None = None
    max_tokens: TokenLimit | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    n: Choices | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, msgspec.Meta(ge=0, le=20)] | None = None
    tools: list[FunctionTool | CustomTool] | None = None
    tool_choice: ToolChoiceOption | None = None
    parallel_tool_calls: bool | None = None
    functions: list[FunctionDefinition] | None = None
    function_call: Literal["none", "auto"] | ToolName | None = None
    response_format: TextFormat | JSONObjectFormat | JSONSchemaFormat | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    modalities: list[str] | None = None
    audio: JSONObject | None = None
    prediction: JSONObject | None = None
    web_search_options: JSONObject | None = None
    moderation: JSONObject | None = None
    store: bool | None = None
    metadata: dict[str, str] | None = None
    service_tier: str | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: JSONObject | None = None
    prompt_cache_retention: str | None = None
    top_k: Annotated[int, msgspec.Meta(ge=0)] | None = None
    reasoning: ReasoningWish | None = None
    thinking: ThinkingSwitch | None = None
