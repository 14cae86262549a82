"""A messages request, field by field: its documented shapes, which translate nothing.

Source: the Anthropic API reference, "Create a Message". Blocks and tools that only Anthropic runs are not listed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec

JSONObject = dict[str, Any]
TokenLimit = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Shape(msgspec.Struct, omit_defaults=True):
    """An object of this route; fields that say nothing are left out."""


class CacheControl(Shape):
    """The prompt prefix that ends here may be cached."""

    type: Literal["ephemeral"]
    ttl: str | None = None


class TextBlock(Shape, tag_field="type", tag="text"):
    """Text, and whether the prompt prefix that ends with it may be cached."""

    text: str
    cache_control: CacheControl | None = None


class Base64Source(Shape, tag_field="type", tag="base64"):
    """The data itself."""

    media_type: str
    data: str


class URLSource(Shape, tag_field="type", tag="url"):
    """Data at an address, which Anthropic fetches."""

    url: str


class FileSource(Shape, tag_field="type", tag="file"):
    """Data that was stored at Anthropic before."""

    file_id: str


class PlainTextSource(Shape, tag_field="type", tag="text"):
    """Text as it is, not base64."""

    media_type: Literal["text/plain"]
    data: str


class ImageBlock(Shape, tag_field="type", tag="image"):
    """An image for the model to look at."""

    source: Base64Source | URLSource | FileSource
    cache_control: CacheControl | None = None


class DocumentBlock(Shape, tag_field="type", tag="document"):
    """A PDF or a text; `context` tells the model about it."""

    source: Base64Source | PlainTextSource | URLSource | FileSource
    title: str | None = None
    context: str | None = None
    cache_control: CacheControl | None = None


class ThinkingBlock(Shape, tag_field="type", tag="thinking"):
    """Goes back to Anthropic untouched, with its signature."""

    thinking: str
    signature: str


class RedactedThinkingBlock(Shape, tag_field="type", tag="redacted_thinking"):
    """Reasoning that only Anthropic can read; it goes back untouched."""

    data: str


class ToolUseBlock(Shape, tag_field="type", tag="tool_use"):
    """`input` is a JSON object."""

    id: str
    name: str
    input: msgspec.Raw
    cache_control: CacheControl | None = None


class ToolResultBlock(Shape, tag_field="type", tag="tool_result"):
    """What a tool gave back, or that it failed."""

    tool_use_id: str
    content: str | Sequence[TextBlock | ImageBlock] | None = None
    is_error: bool | None = None
    cache_control: CacheControl | None = None


AnyBlock = (
    TextBlock | ImageBlock | DocumentBlock | ThinkingBlock | RedactedThinkingBlock | ToolUseBlock | ToolResultBlock
)


class Turn(Shape):
    """What one side says. Turns of the user and the assistant alternate."""

    role: Literal["user", "assistant", "system"]
    content: str | Sequence[AnyBlock]


class ToolDefinition(Shape):
    """A tool that the caller runs. Tools that Anthropic runs have another `type`."""

    name: str
    input_schema: JSONObject | None = None
    description: str | None = None
    strict: bool | None = None
    type: str | None = None
    cache_control: CacheControl | None = None


class ToolChoiceOption(Shape):
    """`any`: some tool must be called; `tool`: the one with this `name`."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class ThinkingOption(Shape):
    """`enabled` with a budget of at least 1,024 tokens, or `disabled`; newer models think `adaptive`ly."""

    type: Literal["enabled", "disabled", "adaptive", "between_tools"]
    budget_tokens: int | None = None
    display: str | None = None


class JSONOutput(Shape, tag_field="type", tag="json_schema"):
    """JSON that fits a schema."""

    schema: JSONObject


class OutputConfig(Shape):
    """What the answer must be, and how much effort to put into it."""

    format: JSONOutput | None = None
    effort: str | None = None


class Metadata(Shape):
    """Who asks, as an opaque id."""

    user_id: str | None = None


class MessagesEnvelope(msgspec.Struct, kw_only=True):
    """What is read of every request, translated or not."""

    model: Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
    messages: Annotated[list[msgspec.Raw], msgspec.Meta(min_length=1)]
    max_tokens: TokenLimit
    stream: bool | None = None


class MessagesRequest(Shape, kw_only=True):
    """A request for a message. Fields that are not listed pass to upstreams of the same wire as they are.

    Models since Claude Opus 4.7 refuse `temperature`, `top_p`, `top_k` and `thinking` by budget.
    """

    model: Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
    messages: Annotated[list[Turn], msgspec.Meta(min_length=1)]
    max_tokens: TokenLimit
    system: str | Sequence[TextBlock] | None = None
    stream: bool | None = None
    temperature: Share | None = None
    top_p: Share | None = None
    top_k: Annotated[int, msgspec.Meta(ge=0)] | None = None
    stop_sequences: list[str] | None = None
    tools: list[ToolDefinition] | None = None
    tool_choice: ToolChoiceOption | None = None
    thinking: ThinkingOption | None = None
    output_config: OutputConfig | None = None
    output_format: JSONOutput | None = None
    metadata: Metadata | None = None
    service_tier: str | None = None
    cache_control: CacheControl | None = None
