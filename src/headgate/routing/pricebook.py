"""Prices and context lengths from `genai-prices`, a maintained book of them. Only this file knows that library.

It takes thirty megabytes and most of a second to open, so it is read in a process of its own, which is this module run
as a program: what is wanted comes on standard input, cards go to standard output, both as JSON.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from importlib.metadata import version
from importlib.util import find_spec
from time import time_ns
from typing import TYPE_CHECKING

import msgspec

from headgate.errors import InternalError
from headgate.types import ModelCard

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice

CHAPTERS = {
    "openai": "openai",
    "anthropic": "anthropic",
    "deepseek": "deepseek",
    "cerebras": "cerebras",
    "fireworks": "fireworks",
    "groq": "groq",
    "minimax": "minimax",
    "mistral": "mistral",
    "moonshot": "moonshotai",
    "perplexity": "perplexity",
    "together": "together",
    "xai": "x-ai",
    "zai": "zai",
}
"""Kind of a provider → what the book calls the service. OpenRouter's own list has its prices."""


class Wanted(msgspec.Struct, frozen=True):
    """A provider of a kind that the book has, and names of its models besides those that stand in the book."""

    provider: str
    kind: str
    names: tuple[str, ...] = ()


def there_is_one() -> bool:
    """Whether the library is installed: it comes with `headgate[prices]`."""
    return find_spec("genai_prices") is not None


async def read(asked: list[Wanted]) -> list[ModelCard]:
    """What the book says of these providers' models. Raises `InternalError` when it cannot be read."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", __name__),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        said, failed = await process.communicate(msgspec.json.encode(asked))
    except BaseException:
        process.kill()
        raise
    if process.returncode:
        reason = failed.decode("utf-8", "replace").strip().rpartition("\n")[2][:200]
        raise InternalError(f"the book of prices cannot be read: {reason}")
    return msgspec.json.decode(said, type=list[ModelCard])


def cards(asked: list[Wanted]) -> Iterator[ModelCard]:
    """Opens the book. Source and time are on every card."""
    from genai_prices.data_snapshot import get_snapshot

    source, now_us = f"genai-prices {version('genai-prices')}", time_ns() // 1000
    chapters = {chapter.id: chapter for chapter in get_snapshot().providers}
    for each in asked:
        chapter = chapters[CHAPTERS[each.kind]]
        found = {name: chapter.find_model(name) for name in each.names}
        for name, model in ({model.id: model for model in chapter.models} | found).items():
            if model is not None:
                yield card(each.provider, name, model, source, now_us)


def card(provider: str, name: str, model: ModelInfo, source: str, now_us: int) -> ModelCard:
    from datetime import UTC, datetime

    prices = model.get_prices(datetime.fromtimestamp(now_us / 1e6, UTC))
    return ModelCard(
        id=name,
        provider=provider,
        name=model.name or "",
        context_length=model.context_window,
        prompt_price_per_1k=per_1k(prices, "input_mtok"),
        completion_price_per_1k=per_1k(prices, "output_mtok"),
        source=source,
        fetched_us=now_us,
    )


def per_1k(prices: ModelPrice, field: str) -> float | None:
    """USD for 1,000 tokens; where a price grows with the prompt's length, the first one."""
    price = getattr(prices, field)
    amount = getattr(price, "base", price)
    return float(amount / 1000) if isinstance(amount, Decimal) else None


def main(asked: bytes) -> bytes:
    return msgspec.json.encode(list(cards(msgspec.json.decode(asked, type=list[Wanted]))))


def wanted(kinds: Mapping[str, str], names: Mapping[str, Iterable[str]]) -> list[Wanted]:
    """What to want of the book, as far as it has these kinds; both are by provider."""
    return [Wanted(name, kind, tuple(names.get(name, ()))) for name, kind in kinds.items() if kind in CHAPTERS]


if __name__ == "__main__":
    sys.stdout.buffer.write(main(sys.stdin.buffer.read()))
