"""Kept answers for tests."""

from __future__ import annotations

from time import time

from headgate.cache.shelf import Bounds, Kept

ROOMY = Bounds(ttl_s=60, max_bytes=1024 * 1024, max_entries=1000)


def kept(body: bytes = b"{}", question: bytes = b"q" * 32, *, age_s: float = 0, estimated: bool = False) -> Kept:
    return Kept(question, time() - age_s, "", body, "gpt-4o", "openai", ("seed",), estimated)
