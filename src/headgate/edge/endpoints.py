"""The table of the data plane: which path speaks which wire, and what it takes and gives. A new route is a row."""

from __future__ import annotations

import msgspec

from headgate.wire.base import Wire
from headgate.wire.chat import CHAT, ChatChunk, ChatCompletion, ChatRequest
from headgate.wire.completions import COMPLETIONS, Completion, CompletionRequest
from headgate.wire.embeddings import EMBEDDINGS, CreateEmbeddingRequest, CreateEmbeddingResponse
from headgate.wire.messages import MESSAGES, MessageAnswer, MessageEvent, MessagesRequest

PREFIXES = ("/v1", "/api/v1")


class Endpoint(msgspec.Struct, frozen=True):
    """One inference route: POST only. `chunk` is what each event of its stream holds, where it has streams."""

    path: str
    summary: str
    wire: Wire
    request: type[msgspec.Struct]
    reply: type[msgspec.Struct]
    chunk: type[msgspec.Struct] | None = None


ROWS = (
    Endpoint("/chat/completions", "Continue a chat", CHAT, ChatRequest, ChatCompletion, ChatChunk),
    Endpoint("/completions", "Complete a text", COMPLETIONS, CompletionRequest, Completion, Completion),
    Endpoint("/messages", "Continue a chat (Anthropic)", MESSAGES, MessagesRequest, MessageAnswer, MessageEvent),
    Endpoint("/embeddings", "Turn texts into vectors", EMBEDDINGS, CreateEmbeddingRequest, CreateEmbeddingResponse),
)

ENDPOINTS = tuple(msgspec.structs.replace(row, path=prefix + row.path) for prefix in PREFIXES for row in ROWS)

MODELS = tuple(prefix + "/models" for prefix in PREFIXES)
"""GET lists the models; with `/{id}` behind it, GET shows one."""

NO_MODELS = frozenset(f"/api/v1/models/{page}" for page in ("update", "update_whitelist", "whitelist"))
"""Pages of the control plane that stand where a model's name could: they come first."""
