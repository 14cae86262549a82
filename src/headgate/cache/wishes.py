"""What a request says about the cache in its `Cache-Control` (RFC 9111, 5.2.1)."""

from __future__ import annotations

import re

import msgspec

_AGE = re.compile(rb"max-age\s*=\s*\"?(\d{1,10})\"?")


class Wish(msgspec.Struct, frozen=True):
    """`store`: the answer may be kept. `max_age_s`: the oldest answer that will do; 0 asks for a new one."""

    store: bool = True
    max_age_s: float = float("inf")


ANY = Wish()
NONE = Wish(store=False)


def read(cache_control: bytes) -> Wish:
    """The wish in a header's value. Directives that are none for requests are passed over; an age that is no number
    counts as 0, the careful reading."""
    if not cache_control:
        return ANY
    store, max_age_s = True, ANY.max_age_s
    for directive in cache_control.lower().split(b","):
        name = directive.partition(b"=")[0].strip()
        if name == b"no-store":
            store = False
        elif name == b"no-cache":
            max_age_s = 0.0
        elif name == b"max-age":
            age = _AGE.fullmatch(directive.strip())
            max_age_s = min(max_age_s, float(age[1]) if age else 0.0)
    return Wish(store, max_age_s)
