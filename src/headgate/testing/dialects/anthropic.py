"""Anthropic's Messages API: its rules for turns, tools and thinking, its events, and usage that grows."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from typing import Literal

import msgspec

from headgate.testing.answers import Answer, Piece, Refused, Reply, count, tokens
from headgate.testing.dialects.base import JSON, Call, Dialect, Object, Route, encode
from headgate.testing.dialects.events import event, odd
from headgate.types import Usage

MIN_THINKING = 1024

_ADAPTIVE = re.compile(r"claude-(?:opus-4-[7-9]|(?:opus|sonnet|haiku)-[5-9]|fable|mythos)(?!\d)")
_THINKS_ALWAYS = re.compile(r"claude-(?:opus-5-5|fable|mythos)(?!\d)")
_THINKS_BETWEEN_TOOLS = re.compile(r"claude-sonnet-5-5(?!\d)")
_TEMPERATURE_OR_TOP_P = re.compile(r"claude-(?:opus-4-[1-6]|(?:sonnet|haiku)-4-[5-9])(?!\d)")
_DEFAULTS = {"temperature": 1, "top_p": 0.99}
"""The values that even a model without sampling settings takes."""


class Block(msgspec.Struct, frozen=True):
    """A content block of a request, as far as the rules look at it."""

    type: str
    text: str = ""
    id: str = ""
    tool_use_id: str = ""
    thinking: str = ""
    signature: str = ""
    content: msgspec.Raw = msgspec.Raw(b"null")


class Turn(msgspec.Struct, frozen=True):
    """One message of a request."""

    role: str
    content: str | list[Block]

    @property
    def blocks(self) -> list[Block]:
        return [Block("text", self.content)] if isinstance(self.content, str) else self.content

    @property
    def said(self) -> str:
        return " ".join(block.text for block in self.blocks if block.text)


class ThinkingChoice(msgspec.Struct, frozen=True):
    """Whether the model may think, and for how many tokens."""

    type: Literal["enabled", "disabled", "adaptive", "between_tools"]
    budget_tokens: int | None = None


class OutputChoice(msgspec.Struct, frozen=True):
    """How much effort goes into the answer; its format changes nothing here."""

    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None


class MessagesBody(msgspec.Struct, frozen=True):
    """The fields that the real service checks or that change what comes back."""

    model: str
    messages: list[Turn]
    max_tokens: int
    system: str | list[Block] = ""
    stream: bool = False
    stop_sequences: list[str] = []
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    thinking: ThinkingChoice | None = None
    output_config: OutputChoice | None = None

    @property
    def prompt_tokens(self) -> int:
        system = self.system if isinstance(self.system, str) else " ".join(block.text for block in self.system)
        return count(system) + sum(count(turn.said) for turn in self.messages)


class CountBody(msgspec.Struct, frozen=True):
    """What `count_tokens` is asked."""

    model: str
    messages: list[Turn]
    system: str | list[Block] = ""


class Anthropic(Dialect):
    """api.anthropic.com."""

    name = "anthropic"
    prefix = "/anthropic"
    library = ("claude-opus-4-1", "claude-sonnet-4-5", "claude-3-5-haiku-latest")

    def routes(self) -> list[Route]:
        return [
            Route("POST", "/v1/messages", self.message),
            Route("POST", "/v1/messages/count_tokens", self.count_tokens),
            Route("GET", "/v1/models", self.list_models),
        ]

    def credential(self, headers: dict[str, str]) -> str:
        return headers.get("x-api-key") or super().credential(headers)

    def headers(self, call: Call) -> dict[str, str]:
        return {
            "request-id": f"req_fake{call.number}",
            "anthropic-organization-id": "org_fake",
            "anthropic-ratelimit-requests-limit": "4000",
            "anthropic-ratelimit-requests-remaining": str(max(3999 - call.number, 0)),
            "anthropic-ratelimit-requests-reset": "2026-01-01T00:01:00Z",
        }

    def error(self, refused: Refused) -> bytes:
        return encode(self._error_object(refused) | {"request_id": "req_fake"})

    def error_event(self, call: Call, refused: Refused) -> bytes:
        return event(self._error_object(refused), "error")

    def _error_object(self, refused: Refused) -> Object:
        message = f"{refused.param}: {refused.message}" if refused.param else refused.message
        return {"type": "error", "error": {"type": refused.kind or _kind(refused.status), "message": message}}

    def admit(self, call: Call) -> None:
        super().admit(call)
        if "anthropic-version" not in call.headers:
            raise Refused(400, "header is required", param="anthropic-version")

    def bad_key(self, key: str) -> Refused:
        return Refused(401, "invalid x-api-key" if key else "x-api-key header is required")

    def no_model(self, model: str) -> Refused:
        return Refused(404, f"model: {model}")

    def list_models(self, call: Call) -> Reply:
        self.admit(call)
        rows = [
            {
                "type": "model",
                "id": model,
                "display_name": model,
                "created_at": "2026-01-01T00:00:00Z",
                "lifecycle": "active",
            }
            for model in self.models
        ]
        ends = {"first_id": self.models[0], "last_id": self.models[-1]} if rows else {"first_id": None, "last_id": None}
        return self.whole(call, {"data": rows, "has_more": False, **ends})

    def count_tokens(self, call: Call) -> Reply:
        self.admit(call)
        asked = call.read(CountBody)
        body = MessagesBody(asked.model, asked.messages, 1, asked.system)
        check_turns(body.messages)
        return self.whole(call, {"input_tokens": body.prompt_tokens})

    def message(self, call: Call) -> Reply:
        self.admit(call)
        body = call.read(MessagesBody)
        self.find(body.model)
        _check_settings(body)
        check_turns(body.messages)
        echo = next((turn.said for turn in reversed(body.messages) if turn.role == "user"), "")
        answer = call.script(body.model, Answer(text=echo)).bounded(body.max_tokens, tuple(body.stop_sequences))
        usage = answer.charge(body.prompt_tokens)
        if body.stream:
            headers = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
            pieces = odd(_events(call, body, answer, usage), answer.oddities)
            return Reply(200, headers | self.headers(call), pieces, usage, stream=True, pacing=answer.pacing)
        whole = _envelope(call, body, _blocks(answer), answer, usage_object(usage, usage.completion))
        piece = Piece(encode(whole), usage.completion)
        return Reply(200, JSON | self.headers(call), [piece], usage, pacing=answer.pacing)


def sign(thinking: str) -> str:
    """The signature of a thinking block; the fake takes a block back only with its own."""
    return base64.b64encode(hashlib.sha256(b"fake" + thinking.encode()).digest()).decode()


def usage_object(usage: Usage, output: int) -> Object:
    """Anthropic's counts: `input_tokens` is what was neither read from the cache nor written to it."""
    return {
        "input_tokens": usage.prompt - usage.cached - usage.cache_written,
        "cache_creation_input_tokens": usage.cache_written,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": output,
        "service_tier": "standard",
    }


def _check_settings(body: MessagesBody) -> None:
    if body.max_tokens < 1:
        raise Refused(400, "Input should be greater than or equal to 1", param="max_tokens")
    _check_sampling(body)
    if body.thinking:
        _check_thinking(body, body.thinking)


def _check_sampling(body: MessagesBody) -> None:
    if body.temperature is not None and not 0 <= body.temperature <= 1:
        raise Refused(400, "range: 0..1", param="temperature")
    adaptive = _ADAPTIVE.search(body.model)
    if adaptive:
        for name in ("temperature", "top_p", "top_k"):
            if getattr(body, name) not in (None, _DEFAULTS.get(name)):
                raise Refused(400, f"`{name}` is not taken by this model any more", param=name)
    one = adaptive or _TEMPERATURE_OR_TOP_P.search(body.model)
    if one and body.temperature is not None and body.top_p is not None:
        raise Refused(400, "this model takes `temperature` or `top_p`, not both")


def _check_thinking(body: MessagesBody, thinking: ThinkingChoice) -> None:
    _check_thinking_type(body.model, thinking)
    if thinking.type != "enabled":
        return
    if thinking.budget_tokens is None or thinking.budget_tokens < MIN_THINKING:
        raise Refused(400, f"needs at least {MIN_THINKING}", param="thinking.enabled.budget_tokens")
    if thinking.budget_tokens >= body.max_tokens:
        raise Refused(400, "`max_tokens` must be greater than `thinking.budget_tokens`")
    if body.temperature not in (None, 1):
        raise Refused(400, "`temperature` may only be set to 1 when thinking is enabled")


def _check_thinking_type(model: str, thinking: ThinkingChoice) -> None:
    if not _ADAPTIVE.search(model):
        return
    off = "between_tools" if _THINKS_BETWEEN_TOOLS.search(model) else "disabled"
    taken = ("adaptive",) if _THINKS_ALWAYS.search(model) else ("adaptive", off)
    if thinking.type not in taken:
        raise Refused(400, f"this model takes {' or '.join(taken)}, with `output_config.effort`", param="thinking.type")


def check_turns(turns: list[Turn]) -> None:
    """Roles alternate and start with the user; tool results answer the calls of the turn before, and come first;
    thinking comes back with its own signature. Raises `Refused`."""
    if not turns:
        raise Refused(400, "at least one message is required", param="messages")
    called: set[str] = set()
    for index, turn in enumerate(turns):
        if turn.role != ("user", "assistant")[index % 2]:
            said = f'roles must alternate between "user" and "assistant", starting with "user"; got "{turn.role}"'
            raise Refused(400, said, param=f"messages.{index}")
        _check_results(turn, called, index)
        _check_blocks(turn, index)
        called = {block.id for block in turn.blocks if block.type == "tool_use"}


def _check_results(turn: Turn, called: set[str], index: int) -> None:
    results = [block.tool_use_id for block in turn.blocks if block.type == "tool_result"]
    if missing := called - set(results):
        said = f"`tool_use` ids without `tool_result` blocks right after them: {', '.join(sorted(missing))}"
        raise Refused(400, said, param=f"messages.{index}")
    if unknown := set(results) - called:
        said = f"`tool_result` without a `tool_use` in the message before: {', '.join(sorted(unknown))}"
        raise Refused(400, said, param=f"messages.{index}")
    if any(block.type != "tool_result" for block in turn.blocks[: len(results)]):
        raise Refused(400, "`tool_result` blocks come before all other content", param=f"messages.{index}")


def _check_blocks(turn: Turn, index: int) -> None:
    for place, block in enumerate(turn.blocks):
        at = f"messages.{index}.content.{place}"
        if block.type == "text" and not block.text:
            raise Refused(400, "text content blocks must be non-empty", param=at)
        if block.type == "thinking" and block.signature != sign(block.thinking):
            raise Refused(400, "invalid `signature` in `thinking` block", param=at)


def _stop_reason(answer: Answer) -> str:
    if answer.finish == "stop":
        return "stop_sequence" if answer.stop_sequence else "end_turn"
    return {"length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}[answer.finish or "length"]


def _blocks(answer: Answer) -> list[Object]:
    blocks: list[Object] = []
    if answer.thinking:
        blocks.append({"type": "thinking", "thinking": answer.thinking, "signature": sign(answer.thinking)})
    if text := answer.text + answer.refusal:
        blocks.append({"type": "text", "text": text, "citations": None})
    for index, call in enumerate(answer.tool_calls):
        made: Object = {"type": "tool_use", "id": call.id or f"toolu_fake{index}", "name": call.name}
        blocks.append(made | {"input": msgspec.json.decode(call.arguments)})
    return blocks


def _envelope(call: Call, body: MessagesBody, content: list[Object], answer: Answer | None, usage: Object) -> Object:
    return {
        "id": f"msg_fake{call.number}",
        "type": "message",
        "role": "assistant",
        "model": body.model,
        "content": content,
        "stop_reason": _stop_reason(answer) if answer else None,
        "stop_sequence": (answer.stop_sequence or None) if answer else None,
        "usage": usage,
    }


def _events(call: Call, body: MessagesBody, answer: Answer, usage: Usage) -> Iterator[Piece]:
    def said(name: str, carried: int = 0, **fields: object) -> Piece:
        return Piece(event({"type": name, **fields}, name), carried)

    yield said("message_start", message=_envelope(call, body, [], None, usage_object(usage, 1)))
    for index, block in enumerate(_blocks(answer)):
        yield said("content_block_start", index=index, content_block=_opened(block))
        if index == 0:
            yield said("ping")
        for delta, carried in _deltas(block):
            yield said("content_block_delta", carried, index=index, delta=delta)
        yield said("content_block_stop", index=index)
    ending = {"stop_reason": _stop_reason(answer), "stop_sequence": answer.stop_sequence or None}
    final = usage_object(usage, usage.completion)
    del final["service_tier"]
    yield said("message_delta", delta=ending, usage=final)
    yield said("message_stop")


def _opened(block: Object) -> Object:
    empty = {"thinking": "", "signature": "", "text": "", "input": {}}
    return {field: empty.get(field, value) for field, value in block.items()}


def _deltas(block: Object) -> Iterator[tuple[Object, int]]:
    if block["type"] == "thinking":
        for token in tokens(str(block["thinking"])):
            yield {"type": "thinking_delta", "thinking": token}, count(token)
        yield {"type": "signature_delta", "signature": block["signature"]}, 0
    elif block["type"] == "text":
        for token in tokens(str(block["text"])):
            yield {"type": "text_delta", "text": token}, count(token)
    else:
        yield {"type": "input_json_delta", "partial_json": ""}, count(str(block["name"]))
        for token in tokens(encode(block["input"]).decode()):
            yield {"type": "input_json_delta", "partial_json": token}, count(token)


def _kind(status: int) -> str:
    kinds = {
        401: "authentication_error",
        402: "billing_error",
        403: "permission_error",
        404: "not_found_error",
        413: "request_too_large",
        429: "rate_limit_error",
        504: "timeout_error",
        529: "overloaded_error",
    }
    return kinds.get(status, "invalid_request_error" if status < 500 else "api_error")
