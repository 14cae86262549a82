"""Reasoning in chat completions, which OpenAI's documents do not have: all field names seen in the wild are read.

Written are DeepSeek's `reasoning_content` and, for blocks that must come back untouched, OpenRouter's
`reasoning_details` (openrouter.ai/docs, "Preserving reasoning blocks").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from headgate.wire.chat.request_shapes import ReasoningDetail
from headgate.wire.conversation import Thinking


class Reasoned(Protocol):
    """A message or a delta that may carry reasoning."""

    reasoning_content: str | None
    reasoning: str | None
    thinking: str | None
    reasoning_details: list[ReasoningDetail] | None


def plain(said: Reasoned) -> str:
    """The reasoning as mere text, under whichever name it came."""
    return said.reasoning_content or said.reasoning or said.thinking or ""


def read(said: Reasoned) -> list[Thinking]:
    """The blocks of reasoning, which details divide; the plain text repeats what the details say."""
    text = plain(said)
    blocks = list(_blocks(said.reasoning_details or ()))
    if not blocks:
        return [Thinking(text)] if text else []
    first = blocks[0]
    if text and first.signature and not any(block.text for block in blocks):
        blocks[0] = Thinking(text, first.signature)
    return blocks


def _blocks(details: Sequence[ReasoningDetail]) -> Iterator[Thinking]:
    """A block's text may come in several entries, as it was streamed; its signature closes it."""
    text = ""
    for detail in details:
        if detail.data:
            if text:
                yield Thinking(text)
                text = ""
            yield Thinking(redacted=detail.data)
            continue
        text += detail.text or detail.summary or ""
        if detail.signature:
            yield Thinking(text, detail.signature)
            text = ""
    if text:
        yield Thinking(text)


def write(blocks: Sequence[Thinking]) -> tuple[str | None, list[ReasoningDetail] | None]:
    """`reasoning_content`, and `reasoning_details` where a block is signed or redacted."""
    text = "".join(block.text for block in blocks) or None
    if not any(block.signature or block.redacted for block in blocks):
        return text, None
    return text, [write_detail(block, index) for index, block in enumerate(blocks)]


def write_detail(block: Thinking, index: int) -> ReasoningDetail:
    """One block; `index` counts the blocks of a message."""
    if block.redacted:
        return ReasoningDetail("reasoning.encrypted", data=block.redacted, index=index)
    return ReasoningDetail("reasoning.text", text=block.text, signature=block.signature or None, index=index)
