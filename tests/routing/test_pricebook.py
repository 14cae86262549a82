"""The book of prices, read in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from headgate.errors import InternalError
from headgate.providers.found import discover
from headgate.routing import pricebook
from headgate.routing.pricebook import CHAPTERS, Wanted


async def test_it_tells_prices_and_context_lengths() -> None:
    asked = pricebook.wanted({"openai": "openai", "mine": "ollama"}, {"openai": ["gpt-4o-2024-08-06", "nobody-knows"]})
    assert asked == [Wanted("openai", "openai", ("gpt-4o-2024-08-06", "nobody-knows"))]
    cards = {card.id: card for card in await pricebook.read(asked)}
    assert {card.provider for card in cards.values()} == {"openai"}
    assert len(cards) > 50
    dated = cards["gpt-4o-2024-08-06"]
    assert (dated.context_length, dated.prompt_price_per_1k, dated.completion_price_per_1k) == (128_000, 0.0025, 0.01)
    assert dated.source.startswith("genai-prices ")
    assert dated.fetched_us > 0
    assert "nobody-knows" not in cards


async def test_it_has_a_chapter_for_every_kind_that_is_named() -> None:
    assert set(CHAPTERS) <= set(discover())
    cards = await pricebook.read([Wanted(kind, kind) for kind in CHAPTERS])
    assert {card.provider for card in cards} == set(CHAPTERS)
    assert all(card.prompt_price_per_1k is None or 0 <= card.prompt_price_per_1k < 10 for card in cards)


async def test_a_book_that_cannot_be_read_says_why() -> None:
    with pytest.raises(InternalError, match="KeyError"):
        await pricebook.read([Wanted("x", "no-such-kind")])


def test_a_server_does_not_open_it() -> None:
    code = "import headgate.house, sys; print('genai_prices' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
