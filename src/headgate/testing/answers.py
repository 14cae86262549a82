"""What the fake upstream says and what it counts: answers in no dialect, and tokens that are words."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from headgate.types import Usage

Finish = Literal["stop", "length", "tool_calls", "content_filter"]
Oddity = Literal[
    "bom", "cr", "crlf", "comments", "empty_data", "second_finish", "usage_last", "usage_twice", "no_usage"
]
"""Habits of streams in the wild that are not faults; every client of server-sent events must live with them."""

_TOKEN = re.compile(r"\s*\S+(?:\s+\Z)?")


def tokens(text: str) -> list[str]:
    """Cuts a text into words with the space before them; joined, they are the text."""
    return _TOKEN.findall(text) or ([text] if text else [])


def count(text: str) -> int:
    """The fake's measure of everything: one word is one token."""
    return len(text.split())


class Pacing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When the bytes of an answer leave, and in which pieces.

    Nothing leaves for `first_byte_s`. For `queue_s` after that a dialect that has a waiting mark (DeepSeek, OpenRouter)
    has sent it, and the answer waits. `tokens_per_s` 0 means at once. Without a split each event is one write; with
    `split_every` (bytes) or `split_at` (offsets into the body) the writes end there and nowhere else.
    """

    first_byte_s: float = 0.0
    queue_s: float = 0.0
    tokens_per_s: float = 0.0
    split_every: int = 0
    split_at: tuple[int, ...] = ()

    def ends(self, size: int, events: list[int]) -> list[int]:
        """The offsets at which the writes of a body of `size` bytes end; `events` are those of its events."""
        if self.split_every:
            return [*range(self.split_every, size, self.split_every), size]
        if self.split_at:
            return [*sorted({offset for offset in self.split_at if 0 < offset < size}), size]
        return events


class ToolCall(msgspec.Struct, frozen=True):
    """A call that the model makes. `arguments` is JSON text; an empty `id` becomes one in the dialect's style."""

    name: str
    arguments: str = "{}"
    id: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One scripted answer. Without `usage` tokens are counted; `cached` and `cache_written` are parts of the prompt.

    An empty `finish` follows from the rest: tool calls, a refusal, the limit, the end. `pacing` replaces the fake's.
    """

    text: str = ""
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    refusal: str = ""
    finish: Finish | Literal[""] = ""
    stop_sequence: str = ""
    usage: Usage | None = None
    cached: int = 0
    cache_written: int = 0
    pacing: Pacing | None = None
    oddities: frozenset[Oddity] = frozenset()

    def bounded(self, limit: int | None, stops: tuple[str, ...] = ()) -> Answer:
        """This answer as it comes out under a limit of completion tokens and stop sequences, its `finish` settled."""
        text, stopped = _until(self.text, stops)
        finish: Finish = self.finish or (
            "tool_calls" if self.tool_calls else "content_filter" if self.refusal else "stop"
        )
        thinking = self.thinking
        if limit is not None and count(thinking) + count(text) > limit:
            thinking = _first(thinking, limit)
            text = _first(text, limit - count(thinking))
            finish, stopped = "length", ""
        return msgspec.structs.replace(
            self, text=text, thinking=thinking, finish=finish, stop_sequence=stopped or self.stop_sequence
        )

    @property
    def reasoning_tokens(self) -> int:
        return count(self.thinking)

    @property
    def completion_tokens(self) -> int:
        called = sum(count(call.name) + count(call.arguments) for call in self.tool_calls)
        return self.reasoning_tokens + count(self.text) + count(self.refusal) + called

    def charge(self, prompt: int, copies: int = 1) -> Usage:
        """What this answer costs after a prompt of so many tokens, given `copies` times."""
        if self.usage is not None:
            return self.usage
        return Usage(
            prompt=prompt,
            completion=self.completion_tokens * copies,
            cached=min(self.cached, prompt),
            cache_written=min(self.cache_written, prompt - min(self.cached, prompt)),
            reasoning=self.reasoning_tokens * copies,
        )


def _first(text: str, words: int) -> str:
    return "".join(tokens(text)[: max(words, 0)])


def _until(text: str, stops: tuple[str, ...]) -> tuple[str, str]:
    found = [(at, stop) for stop in stops if stop and (at := text.find(stop)) >= 0]
    if not found:
        return text, ""
    at, stop = min(found)
    return text[:at], stop


class Piece(msgspec.Struct, frozen=True):
    """Bytes of a body that belong together (an event, or the whole of an answer) and the tokens that they carry."""

    data: bytes
    tokens: int = 0


class Reply(msgspec.Struct, frozen=True):
    """An answer in its dialect, ready to leave. `waiting` is what the provider sends while the call is in its queue."""

    status: int
    headers: dict[str, str]
    pieces: list[Piece]
    usage: Usage = Usage()
    stream: bool = False
    waiting: bytes = b""
    pacing: Pacing | None = None

    @property
    def body(self) -> bytes:
        return b"".join(piece.data for piece in self.pieces)


class Refused(Exception):
    """The fake says no, as the real service would; its dialect turns this into a body."""

    def __init__(self, status: int, message: str, *, kind: str = "", code: str = "", param: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.code = code
        self.param = param
