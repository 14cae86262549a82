"""Ollama's native embeddings (`/api/embed`): texts in, vectors out."""

from __future__ import annotations

import msgspec

from headgate.types import Usage
from headgate.wire.base import Ask, Look, Written, encode
from headgate.wire.openai import open_body, read_body, unread
from headgate.wire.vectors import JUNK, Dimensions, EmbeddingReply, EmbeddingRequest, TextVectorWire, matched


class OllamaEmbedRequest(msgspec.Struct, omit_defaults=True):
    """What `/api/embed` takes."""

    model: str
    input: str | list[str]
    dimensions: Dimensions | None = None
    truncate: bool | None = None
    options: dict[str, object] | None = None
    keep_alive: str | float | None = None


class OllamaEmbedResponse(msgspec.Struct, omit_defaults=True):
    """What `/api/embed` answers. Its times are not read, and none are made up."""

    model: str
    embeddings: list[list[float]]
    prompt_eval_count: int | None = None


_request = msgspec.json.Decoder(OllamaEmbedRequest).decode
_response = msgspec.json.Decoder(OllamaEmbedResponse).decode


class OllamaEmbed(TextVectorWire):
    """Ollama cuts a text that is too long for the model unless told not to; we tell it, since others refuse such."""

    name = "ollama_embed"
    inputs = "input"

    def ask(self, body: bytes) -> Ask:
        return Ask(model=read_body(_request, body).model, body=body, fields=open_body(body))

    def look(self, body: bytes) -> Look:
        reply = self.read_reply(body)
        return Look(reply.usage, reply.model)

    def read(self, body: bytes) -> EmbeddingRequest:
        seen = read_body(_request, body)
        carried = ("model", "input", "dimensions", "" if seen.truncate else "truncate")
        texts = self.read_texts(seen.input)
        return EmbeddingRequest(seen.model, texts, seen.dimensions, unread=unread(body, carried))

    def write(self, request: EmbeddingRequest) -> Written:
        body = OllamaEmbedRequest(request.model, self.texts(request), request.dimensions, truncate=False)
        return self.written(body, request)

    def read_reply(self, body: bytes) -> EmbeddingReply:
        try:
            seen = _response(body)
        except JUNK:
            raise self.failure(body) from None
        count = seen.prompt_eval_count
        return EmbeddingReply(seen.model, tuple(seen.embeddings), None if count is None else Usage(prompt=count))

    def write_reply(self, reply: EmbeddingReply, ask: Ask) -> bytes:
        body = OllamaEmbedResponse(
            model=reply.model or ask.model,
            embeddings=[list(vector) for vector in matched(reply, ask.fields[self.inputs])],
            prompt_eval_count=reply.usage.prompt if reply.usage else None,
        )
        return encode(body)


OLLAMA_EMBED = OllamaEmbed()
