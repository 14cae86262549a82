"""OpenAI's embeddings: one vector for each input, as numbers or as base64. Never a stream."""

from __future__ import annotations

import struct
from typing import Literal, TypeVar

import msgspec

from headgate.errors import BadRequest, UpstreamProtocolError
from headgate.wire.base import Ask, Written, encode
from headgate.wire.openai import Envelope, OpenAIShape, open_body, read_body, unread
from headgate.wire.vectors import (
    JUNK,
    Dimensions,
    EmbeddingReply,
    EmbeddingRequest,
    Encoding,
    Input,
    Vector,
    VectorWire,
    matched,
    unreadable,
)

One = TypeVar("One")

_NULL = msgspec.Raw(b"null")


class CreateEmbeddingRequest(msgspec.Struct, omit_defaults=True):
    """What `/v1/embeddings` takes."""

    model: str
    input: str | list[str | int | list[int]]
    """A text, a list of texts, the token ids of a text, or a list of such lists."""
    encoding_format: Encoding | None = None
    """`float` (default): lists of numbers; `base64`: little-endian 32-bit floats."""
    dimensions: Dimensions | None = None
    user: str | None = None


class Embedding(msgspec.Struct):
    """One vector: numbers, or base64 where that was asked for."""

    embedding: list[float] | bytes
    index: int = 0
    object: Literal["embedding"] = "embedding"


class EmbeddingUsage(msgspec.Struct):
    prompt_tokens: int = 0
    total_tokens: int = 0


class CreateEmbeddingResponse(msgspec.Struct):
    """What `/v1/embeddings` answers. `usage` is zero where no provider counted."""

    data: list[Embedding]
    model: str
    usage: EmbeddingUsage
    object: Literal["list"] = "list"


class _EmbeddingsEnvelope(Envelope, kw_only=True):
    input: msgspec.Raw
    encoding_format: Encoding | None = None


class _Rows(msgspec.Struct):
    data: list[Embedding]


_request = msgspec.json.Decoder(CreateEmbeddingRequest).decode
_rows = msgspec.json.Decoder(_Rows).decode
_encoding = msgspec.json.Decoder(Encoding | None).decode


class Embeddings(VectorWire, OpenAIShape):
    """OpenAI's `/v1/embeddings`."""

    name = "embeddings"
    envelope = _EmbeddingsEnvelope
    result = "data"

    def ask(self, body: bytes) -> Ask:
        ask = super().ask(body)
        if ask.stream:
            self.passage(ask)
        return ask

    def read(self, body: bytes) -> EmbeddingRequest:
        seen = read_body(_request, body)
        return EmbeddingRequest(
            model=seen.model,
            inputs=_read_inputs(seen.input),
            dimensions=seen.dimensions,
            encoding=seen.encoding_format or "float",
            user=seen.user,
            unread=unread(body, (*CreateEmbeddingRequest.__struct_fields__, "stream")),
        )

    def write(self, request: EmbeddingRequest) -> Written:
        body = CreateEmbeddingRequest(
            model=request.model,
            input=[one if isinstance(one, str) else list(one) for one in request.inputs],
            encoding_format=None if request.encoding == "float" else request.encoding,
            dimensions=request.dimensions,
            user=request.user,
        )
        return Written(open_body(encode(body)))

    def read_reply(self, body: bytes) -> EmbeddingReply:
        look = self.look(body)
        try:
            rows = sorted(_rows(body).data, key=lambda row: row.index)
        except JUNK as error:
            raise unreadable(str(error)) from None
        return EmbeddingReply(look.model, tuple(_floats(row.embedding) for row in rows), look.usage)

    def write_reply(self, reply: EmbeddingReply, ask: Ask) -> bytes:
        vectors = matched(reply, ask.fields["input"])
        packed = _encoding(ask.fields.get("encoding_format", _NULL)) == "base64"
        tokens = reply.usage.prompt if reply.usage else 0
        body = CreateEmbeddingResponse(
            data=[
                Embedding(_packed(vector) if packed else list(vector), index) for index, vector in enumerate(vectors)
            ],
            model=reply.model or ask.model,
            usage=EmbeddingUsage(tokens, tokens),
        )
        return encode(body)


def _read_inputs(said: str | list[str | int | list[int]]) -> tuple[Input, ...]:
    match said:
        case str():
            return (said,)
        case [str(), *_]:
            return _alike(said, str)
        case [int(), *_]:
            return (_alike(said, int),)
        case [list(), *_]:
            return tuple(tuple(one) for one in _alike(said, list))
    raise BadRequest("`input`: an empty list has nothing to embed", param="input")


def _alike(said: list[str | int | list[int]], kind: type[One]) -> tuple[One, ...]:
    alike = tuple(one for one in said if isinstance(one, kind))
    if len(alike) < len(said):
        raise BadRequest("`input`: a list holds only texts, only token ids, or only lists of token ids", param="input")
    return alike


def _packed(vector: Vector) -> bytes:
    try:
        return struct.pack(f"<{len(vector)}f", *vector)
    except (OverflowError, struct.error):
        raise UpstreamProtocolError("the provider's answer has a number that no 32-bit float can hold") from None


def _floats(embedding: list[float] | bytes) -> Vector:
    if isinstance(embedding, list):
        return embedding
    try:
        return struct.unpack(f"<{len(embedding) // 4}f", embedding)
    except struct.error:
        raise unreadable("a vector is not base64 of 32-bit floats") from None


EMBEDDINGS = Embeddings()

__all__ = [
    "EMBEDDINGS",
    "CreateEmbeddingRequest",
    "CreateEmbeddingResponse",
    "EmbeddingReply",
    "EmbeddingRequest",
    "Embeddings",
    "VectorWire",
]
