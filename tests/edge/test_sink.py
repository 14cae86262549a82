"""Words of callers and providers as a header may carry them."""

from __future__ import annotations

import pytest

from headgate.edge.sink import VALUE_CHARS, header_value


def test_a_long_word_is_cut() -> None:
    assert header_value("x" * 100_000) == b"x" * VALUE_CHARS
    assert len(header_value("\N{DECIDUOUS TREE}" * 100_000)) == VALUE_CHARS * len("%F0%9F%8C%B3")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("openai/gpt-4o:free", b"openai/gpt-4o:free"),
        ("a\r\nset-cookie: b", b"a%0D%0Aset-cookie: b"),
        ("a\0b\x7f", b"a%00b%7F"),
        ("gr\xfc\xdfe", b"gr%C3%BC%C3%9Fe"),
    ],
)
def test_what_no_header_can_hold_is_encoded(text: str, value: bytes) -> None:
    assert header_value(text) == value
