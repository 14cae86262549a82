"""HuggingFace's feature-extraction pipeline: texts in, vectors out. Its model is named by the path, not by the body."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from headgate.errors import UpstreamProtocolError, WireNotServed
from headgate.wire.base import Ask, Look, Written, encode
from headgate.wire.openai import open_body, read_body, unread
from headgate.wire.vectors import JUNK, EmbeddingReply, EmbeddingRequest, TextVectorWire, Vector, matched, unreadable


class FeatureRequest(msgspec.Struct, omit_defaults=True):
    """What a feature-extraction pipeline takes."""

    inputs: str | list[str]
    normalize: bool | None = None
    prompt_name: str | None = None
    truncate: bool | None = None
    truncation_direction: str | None = None


_request = msgspec.json.Decoder(FeatureRequest).decode


class Features(TextVectorWire):
    """The pipeline's answer is a vector for each text, or a matrix with a row for each token, which becomes a vector by
    its mean, as sentence encoders do by default."""

    name = "features"
    inputs = "inputs"

    def ask(self, body: bytes) -> Ask:
        read_body(_request, body)
        return Ask(model="", body=body, fields=open_body(body))

    def look(self, body: bytes) -> Look:
        self.read_reply(body)
        return Look(usage=None)

    def read(self, body: bytes) -> EmbeddingRequest:
        texts = self.read_texts(read_body(_request, body).inputs)
        return EmbeddingRequest("", texts, unread=unread(body, (self.inputs,)))

    def write(self, request: EmbeddingRequest) -> Written:
        if request.dimensions is not None:
            raise WireNotServed("`dimensions`: this model's provider gives vectors of one size", param="dimensions")
        return self.written(FeatureRequest(inputs=self.texts(request)), request)

    def read_reply(self, body: bytes) -> EmbeddingReply:
        if body.lstrip().startswith(b"{"):
            raise self.failure(body)
        try:
            return EmbeddingReply("", _READ[_depth(body)](body))
        except (*JUNK, KeyError) as error:
            raise unreadable(str(error)) from None

    def write_reply(self, reply: EmbeddingReply, ask: Ask) -> bytes:
        return encode([list(vector) for vector in matched(reply, ask.fields[self.inputs])])


def _depth(body: bytes) -> int:
    start = body[:1024].translate(None, b" \t\r\n")
    return len(start) - len(start.lstrip(b"["))


def _mean(tokens: list[list[float]]) -> list[float]:
    if len({len(token) for token in tokens}) != 1:
        raise unreadable("a matrix of tokens has rows of different lengths")
    return [sum(column) / len(tokens) for column in zip(*tokens, strict=True)]


def _only(matrices: list[list[list[float]]]) -> list[list[float]]:
    if len(matrices) != 1:
        raise UpstreamProtocolError(f"the provider gave {len(matrices)} matrices of tokens for one input")
    return matrices[0]


_vector = msgspec.json.Decoder(list[float]).decode
_vectors = msgspec.json.Decoder(list[list[float]]).decode
_matrices = msgspec.json.Decoder(list[list[list[float]]]).decode
_batches = msgspec.json.Decoder(list[list[list[list[float]]]]).decode
_READ: Mapping[int, Callable[[bytes], tuple[Vector, ...]]] = {
    1: lambda body: (_vector(body),),
    2: lambda body: tuple(_vectors(body)),
    3: lambda body: tuple(map(_mean, _matrices(body))),
    4: lambda body: tuple(_mean(_only(batch)) for batch in _batches(body)),
}
"""By how deeply the numbers are nested: one vector; vectors; token matrices; batches of one token matrix each."""

FEATURES = Features()
