"""Anthropic's own service. Its wire, `messages`, is in `wire/messages`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec.structs import replace

from headgate.errors import UpstreamError, UpstreamRateLimited, WireNotServed
from headgate.providers.base import Fields, Headers, Provider, drop, encode, epoch_s
from headgate.types import ModelCard, Secret
from headgate.wire.conversation import Conversation
from headgate.wire.effort import effort_of

VERSION = b"2023-06-01"
EFFORTS = ("low", "medium", "high", "xhigh", "max")


class Generation(msgspec.Struct, frozen=True):
    """What the models of one family take, from a version on."""

    family: str
    since: tuple[int, ...]
    adaptive: bool = True
    """Decides by itself how to sample and how long to think. Those before take `temperature` or `top_p`, not both."""
    off: Literal["disabled", "between_tools", ""] = ""
    """The `thinking.type` that stops an adaptive model from thinking before it answers; empty: nothing does."""


GENERATIONS = (
    Generation("opus", (5, 5)),
    Generation("opus", (4, 7), off="disabled"),
    Generation("opus", (4, 1), adaptive=False),
    Generation("sonnet", (5, 5), off="between_tools"),
    Generation("sonnet", (5,), off="disabled"),
    Generation("sonnet", (4, 5), adaptive=False),
    Generation("haiku", (5,), off="disabled"),
    Generation("haiku", (4, 5), adaptive=False),
    Generation("fable", ()),
    Generation("mythos", ()),
)
"""The newest of a family first. Models before the first, and those of other families, are sent what came.

Source: the migration guide of each model (https://platform.claude.com/docs/en/about-claude/models/migration-guide).
"""

_MODEL = re.compile(r"claude-(?:(\d[\d.-]*)-)?([a-z]+)(?:-(\d{1,2}(?:[.-]\d{1,2})?)(?!\d))?")
"""Family and version: `claude-3-5-haiku-latest` until 3.7, `claude-opus-4-1-20250805` since. A date is no version."""

_SAMPLING = frozenset({"temperature", "top_p", "top_k"})


class Anthropic(Provider):
    """The Anthropic platform: the key in `x-api-key`, a dated version of the interface in every call, and models that
    differ by generation in how they may be told to sample and to think."""

    name = "anthropic"
    base_url = "https://api.anthropic.com"
    base_env = ("ANTHROPIC_API_BASE",)
    key_env = ("ANTHROPIC_API_KEY",)
    paths: ClassVar = {"messages": "/v1/messages"}
    models_path = "/v1/models?limit=1000"

    def credential(self, key: Secret | None) -> Headers:
        shown = [(b"x-api-key", key.reveal().encode())] if key else []
        return [*shown, (b"anthropic-version", VERSION)]

    def suit(self, conversation: Conversation) -> Conversation:
        """Raises `WireNotServed` for an answer that has been begun: no adaptive model goes on with one."""
        generation = _generation(conversation.model)
        if generation is None or not generation.adaptive:
            return conversation
        turns = [message.role for message in conversation.messages if message.role not in ("system", "developer")]
        if turns and turns[-1] == "assistant":
            raise WireNotServed("this model does not go on with an answer: the last message must be a user's")
        return replace(conversation, settings=replace(conversation.settings, adaptive=True))

    def adjust(self, wire: str, model: str, fields: Fields) -> tuple[str, ...]:
        """An adaptive model refuses the sampling settings, and takes an effort in place of a budget for thinking; one
        that cannot stop thinking is asked for the least effort. `thinking` that cannot be read stays as it is: the
        service says what is wrong with it."""
        generation = _generation(model)
        if generation is None:
            return ()
        if not generation.adaptive:
            return drop(fields, frozenset({"top_p"})) if _has(fields, "temperature") and _has(fields, "top_p") else ()
        try:
            unmet = _adapt_thinking(generation, fields)
        except msgspec.ValidationError:
            unmet = ()
        return drop(fields, _SAMPLING) + unmet

    def failure(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> UpstreamError:
        """An account without credit is said as a 400: it is no fault of the request, and the account should rest."""
        error = super().failure(status, headers, body)
        if status == 400 and "credit balance is too low" in error.message:
            return UpstreamRateLimited(error.message, code="insufficient_quota", upstream_status=400)
        return error

    def models(self, body: bytes) -> list[ModelCard]:
        rows = self.read_models(body, _ModelList).data
        return [
            ModelCard(id=row.id, provider=self.name, name=row.display_name, created=epoch_s(row.created_at))
            for row in rows
        ]


class _ModelRow(msgspec.Struct):
    id: str
    display_name: str = ""
    created_at: str = ""


class _ModelList(msgspec.Struct):
    data: list[_ModelRow]


class _Thinking(msgspec.Struct):
    type: str
    budget_tokens: Annotated[int, msgspec.Meta(ge=0)] | None = None

    @property
    def off(self) -> bool:
        return self.type in ("disabled", "between_tools") or (self.type == "enabled" and self.budget_tokens == 0)


_read_thinking = msgspec.json.Decoder(_Thinking | None).decode
_read_object = msgspec.json.Decoder(Fields | None).decode


def _generation(model: str) -> Generation | None:
    name = _MODEL.search(model)
    if name is None:
        return None
    version = tuple(int(number) for number in re.findall(r"\d+", name[1] or name[3] or ""))
    return next((row for row in GENERATIONS if row.family == name[2] and version >= row.since), None)


def _has(fields: Fields, name: str) -> bool:
    return bytes(fields.get(name, b"null")) != b"null"


def _adapt_thinking(generation: Generation, fields: Fields) -> tuple[str, ...]:
    """Puts the wish in the model's own words; names `thinking` where the model thinks against the caller's wish."""
    wish = _read_thinking(fields.get("thinking", b"null"))
    if wish is None or wish.type == generation.off:
        return ()
    if wish.off:
        return _stop_thinking(generation.off, fields)
    if wish.type == "enabled" and wish.budget_tokens:
        _ask_effort(fields, effort_of(wish.budget_tokens, EFFORTS))
        said = _read_object(fields["thinking"]) or {}
        del said["budget_tokens"]
        fields["thinking"] = msgspec.Raw(encode({"display": "summarized", **said, "type": "adaptive"}))
    return ()


def _stop_thinking(off: str, fields: Fields) -> tuple[str, ...]:
    if off:
        fields["thinking"] = msgspec.Raw(encode({"type": off}))
        return ()
    _ask_effort(fields, EFFORTS[0])
    return drop(fields, frozenset({"thinking"}))


def _ask_effort(fields: Fields, effort: str) -> None:
    """An effort that the caller named wins; whatever else is in `output_config` stays."""
    config = _read_object(fields.get("output_config", b"null")) or {}
    if not _has(config, "effort"):
        config["effort"] = msgspec.Raw(encode(effort))
        fields["output_config"] = msgspec.Raw(encode(config))
