"""Two requests are the same exactly when they mean the same."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.cache.fingerprint import BYTES, canonical, fingerprint

TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4))
BODIES = st.dictionaries(TEXTS, VALUES, max_size=6)


def shuffled(value: Any, chance: random.Random) -> Any:
    """The same value, the fields of every object in another order."""
    if isinstance(value, list):
        return [shuffled(item, chance) for item in value]
    if isinstance(value, dict):
        fields = [(name, shuffled(inner, chance)) for name, inner in value.items()]
        chance.shuffle(fields)
        return dict(fields)
    return value


@given(BODIES, st.randoms(use_true_random=False), st.sampled_from([None, 1, 4]), st.booleans())
def test_order_space_and_escapes_do_not_matter(
    body: dict[str, Any], chance: random.Random, indent: int | None, ascii_only: bool
) -> None:
    plain = json.dumps(body, ensure_ascii=False).encode()
    other = json.dumps(shuffled(body, chance), ensure_ascii=ascii_only, indent=indent).encode()
    assert fingerprint(body=plain) == fingerprint(body=other)


@given(BODIES, BODIES)
def test_different_bodies_have_different_fingerprints(one: dict[str, Any], other: dict[str, Any]) -> None:
    texts = [json.dumps(body, sort_keys=True) for body in (one, other)]
    prints = [fingerprint(body=text.encode()) for text in texts]
    assert (prints[0] == prints[1]) == (texts[0] == texts[1])


@given(st.lists(TEXTS, max_size=4), st.lists(TEXTS, max_size=4))
def test_words_do_not_run_into_each_other(one: list[str], other: list[str]) -> None:
    assert (fingerprint(*one) == fingerprint(*other)) == (one == other)


def test_a_fingerprint_has_a_fixed_size() -> None:
    assert len(fingerprint("a", body=b"{}")) == BYTES == 32


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"a":{"b":1,"b":2}}', b'{"a":{"b":2}}'),
        (b'{"a":[1,2]}', b'{"a":[2,1]}'),
        (b'{"seed":123456789012345678901234567890}', b'{"seed":123456789012345678901234567891}'),
        (b'{"a":1e400}', b'{"a":1e401}'),
        (b'{"a":"\\ud800"}', b'{"a":"\\ud801"}'),
        (b'{"a":"x y"}', b'{"a":"xy"}'),
        (b'{"a":null}', b"{}"),
        (b'{"stream":false}', b"{}"),
    ],
)
def test_what_differs_a_little_is_different(one: bytes, other: bytes) -> None:
    assert fingerprint(body=one) != fingerprint(body=other)


@pytest.mark.parametrize("body", [b'{"a":1e400}', b'{"a":"\\udfff"}', b"[" * 100_000, b"", b'{"b":{"a":1,"a":2}}'])
def test_what_has_no_canonical_form_stays_as_it_is(body: bytes) -> None:
    assert canonical(body) == body
