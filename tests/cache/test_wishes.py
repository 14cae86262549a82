"""What requests may say about the cache."""

from __future__ import annotations

import pytest

from headgate.cache.wishes import ANY, NONE, Wish, read


@pytest.mark.parametrize(
    ("header", "wish"),
    [
        (b"", ANY),
        (b"no-cache", Wish(max_age_s=0)),
        (b"No-Cache, max-age=60", Wish(max_age_s=0)),
        (b"max-age=60", Wish(max_age_s=60)),
        (b"  MAX-AGE = 60 ,max-age=30", Wish(max_age_s=30)),
        (b'max-age="5"', Wish(max_age_s=5)),
        (b"max-age=soon", Wish(max_age_s=0)),
        (b"max-age=-1", Wish(max_age_s=0)),
        (b"max-age", Wish(max_age_s=0)),
        (b"no-store", NONE),
        (b"private, no-transform, only-if-cached=x, ,=", ANY),
    ],
)
def test_directives(header: bytes, wish: Wish) -> None:
    assert read(header) == wish
