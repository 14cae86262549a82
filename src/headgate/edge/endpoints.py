"""The table of the data plane: which path speaks which wire. A new route is a row."""

from __future__ import annotations

import msgspec

from headgate.wire.base import Wire
from headgate.wire.chat import CHAT
from headgate.wire.completions import COMPLETIONS
from headgate.wire.embeddings import EMBEDDINGS

PREFIXES = ("/v1", "/api/v1")


class Endpoint(msgspec.Struct, frozen=True):
    """One inference route: POST only."""

    path: str
    wire: Wire


ENDPOINTS = tuple(
    Endpoint(prefix + path, wire)
    for prefix in PREFIXES
    for path, wire in (
        ("/chat/completions", CHAT),
        ("/completions", COMPLETIONS),
        ("/embeddings", EMBEDDINGS),
    )
)

MODELS = tuple(prefix + "/models" for prefix in PREFIXES)
"""GET lists the models; with `/{id}` behind it, GET shows one."""
