"""Embeddings of the fake: unit vectors that depend on nothing but the text, exact in 32 bits."""

from __future__ import annotations

import base64
import hashlib
import math
import random
import struct
from typing import Literal

import msgspec

from headgate.testing.answers import count
from headgate.testing.dialects.base import Object

WIDTH = 1536


Texts = str | list[str | int | list[int]]
"""A text, texts, the token ids of one text, or those of several."""


class VectorsBody(msgspec.Struct, frozen=True):
    """A request for embeddings."""

    input: Texts
    model: str = ""
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None


def texts(asked: Texts) -> list[str]:
    """One text an input; token ids become words, so that they count as many."""
    if isinstance(asked, str):
        return [asked]
    ids = [item for item in asked if isinstance(item, int)]
    if ids or not asked:
        return [" ".join(map(str, ids))]
    return [item if isinstance(item, str) else " ".join(map(str, item)) for item in asked if not isinstance(item, int)]


def vector(text: str, width: int = WIDTH) -> list[float]:
    """A unit vector of `width` numbers, each of which a 32-bit float holds exactly."""
    seeded = random.Random(hashlib.sha256(text.encode()).digest())
    raw = [seeded.uniform(-1, 1) for _ in range(width)]
    norm = math.sqrt(sum(number * number for number in raw))
    return list(struct.unpack(f"<{width}f", struct.pack(f"<{width}f", *(number / norm for number in raw))))


def vectors(body: VectorsBody) -> tuple[int, list[Object]]:
    """The prompt's tokens and the rows of the answer, in the encoding that was asked for."""
    inputs = texts(body.input)
    rows: list[Object] = []
    for index, text in enumerate(inputs):
        numbers = vector(text, body.dimensions or WIDTH)
        packed = base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()
        shown = packed if body.encoding_format == "base64" else numbers
        rows.append({"object": "embedding", "index": index, "embedding": shown})
    return sum(count(text) for text in inputs), rows
