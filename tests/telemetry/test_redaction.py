"""Secrets in text."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from headgate.telemetry.redaction import Redaction
from headgate.types import Secret

CANARY = 'p@ss"wörd/with\\odd+characters-0123456789'


@pytest.mark.parametrize("written", [CANARY, quote(CANARY, safe=""), json.dumps(CANARY), repr(CANARY)])
def test_a_known_secret_is_masked_however_it_is_written(written: str) -> None:
    masked = Redaction([Secret(CANARY)])(f"before {written} after")
    assert "0123456789" not in masked
    assert masked.startswith("before ")
    assert masked.endswith(" after")


@pytest.mark.parametrize(
    "text",
    [
        "key sk-abcdefgh12345678 refused",
        "sk-ant-api03-abcdefgh",
        "'hg-" + "a" * 43 + "'",
        "Authorization: Bearer abc.def",
        "authorization: bearer abc.def",
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str) -> None:
    masked = Redaction()(text)
    assert "****" in masked
    assert not {"abcdefgh", "abc.def", "aaaa"} & set(masked.replace("'", " ").split())
    assert "abc" not in masked


@pytest.mark.parametrize("text", ["task-management-board", "risk-assessment-of", "hg-a1b2c3d4 made", "the bearer"])
def test_ordinary_words_and_key_prefixes_stay(text: str) -> None:
    assert Redaction()(text) == text


def test_a_short_secret_is_masked_as_a_word_only() -> None:
    assert Redaction([Secret("cat")])("cat concatenates: cat.") == "**** concatenates: ****."


def test_the_longer_of_two_secrets_is_masked_whole() -> None:
    assert Redaction([Secret("abcdefgh"), Secret("abcdefghijkl")])("abcdefghijkl") == "****"


def test_an_empty_secret_masks_nothing() -> None:
    assert Redaction([Secret("")])("a - b") == "a - b"


def test_secrets_that_are_learned_later_are_masked_beside_the_first() -> None:
    redaction = Redaction([Secret("a-first-secret")])
    redaction.learn([Secret("a-second-secret")])
    assert redaction("a-first-secret and a-second-secret") == "**** and ****"
