"""What is passed on of a provider's own words."""

from __future__ import annotations

import pytest

from headgate.engine.reach import WORDS_CHARS
from headgate.upstream.lean import Lean
from tests.engine.reaches import reach
from tests.providers.configured import KEY


@pytest.mark.parametrize("shift", [1, 8, len(KEY) // 2, len(KEY) - 1])
async def test_words_are_scrubbed_before_they_are_cut(client: Lean, shift: int) -> None:
    """Cut first, and half a key would stay that nothing recognises."""
    told = reach("one", "http://127.0.0.1:9", client).told("x" * (WORDS_CHARS - shift) + KEY + " and more")
    assert len(told) <= WORDS_CHARS
    assert KEY[:4] not in told


async def test_a_long_tale_is_cut(client: Lean) -> None:
    assert reach("one", "http://127.0.0.1:9", client).told("y " * WORDS_CHARS) == "y " * (WORDS_CHARS // 2)
