"""A key by itself."""

from __future__ import annotations

from hashlib import sha256

from headgate.access.keys import digest, mint, minted


def test_a_key_has_256_random_bits_and_shows_itself_to_nobody() -> None:
    keys = {mint().reveal() for _ in range(1000)}
    assert len(keys) == 1000
    assert all(len(key) == 46 and minted(key.encode()) for key in keys)
    assert "hg-" not in repr(mint())


def test_only_the_shape_of_our_own_keys_is_known_as_such() -> None:
    good = b"hg-" + b"a" * 43
    assert minted(good)
    assert not any(
        map(minted, [b"", b"hg-", good[:-1], good + b"a", good + b"\n", b"sk-" + good[3:], good[:-1] + b"/"])
    )


def test_a_digest_is_of_the_whole_key() -> None:
    assert digest(b"a" * 5000) == sha256(b"a" * 5000).digest()
    assert digest(b"a" * 5000) != digest(b"a" * 4999 + b"b")
