"""Vectors in no dialect: what every embeddings wire reads into and writes out of. Never a stream."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, NoReturn

import msgspec

from headgate.errors import BadRequest, HeadgateError, UpstreamError, UpstreamProtocolError, WireNotServed
from headgate.types import Usage
from headgate.wire.base import Ask, Fields, Wire, Written, encode
from headgate.wire.openai import failure_inside, open_body

Encoding = Literal["float", "base64"]
Input = str | tuple[int, ...]
Vector = Sequence[float]
Dimensions = Annotated[int, msgspec.Meta(ge=1, le=65_536)]
"""More than any embedding model has; without a bound one request could ask for all memory."""

JUNK = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding an answer can raise."""


class EmbeddingRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """A request for vectors in no dialect. An input is a text or a list of token ids; each wants one vector.

    `unread` names top-level fields that the reading wire did not understand.
    """

    model: str
    inputs: tuple[Input, ...]
    dimensions: int | None = None
    encoding: Encoding = "float"
    user: str | None = None
    unread: tuple[str, ...] = ()


class EmbeddingReply(msgspec.Struct, frozen=True):
    """Vectors in the order of the inputs. `model` is empty and `usage` None where the dialect has no such field."""

    model: str
    vectors: tuple[Vector, ...]
    usage: Usage | None = None


class VectorWire(Wire):
    """A wire of the vectors family. Its `read` and `write` are inverse wherever the wire can say the thing."""

    family: ClassVar[Literal["conversation", "vectors"]] = "vectors"

    @abstractmethod
    def read(self, body: bytes) -> EmbeddingRequest:
        """Reads a caller's request. Raises `BadRequest` that names the field."""

    @abstractmethod
    def write(self, request: EmbeddingRequest) -> Written:
        """Writes a request for a provider. Raises `WireNotServed` for what would change the vectors unsaid."""

    @abstractmethod
    def read_reply(self, body: bytes) -> EmbeddingReply:
        """Reads a provider's whole answer. Raises as `look` does."""

    @abstractmethod
    def write_reply(self, reply: EmbeddingReply, ask: Ask) -> bytes:
        """Writes the answer to `ask`. Raises `UpstreamProtocolError` unless there is one vector for each input."""

    def passage(self, ask: Ask) -> NoReturn:
        raise BadRequest("`stream`: embeddings are not streamed; leave it out", param="stream")

    def want_usage(self, fields: Fields) -> None:
        """Usage comes with every answer that has any."""


def matched(reply: EmbeddingReply, said: msgspec.Raw) -> tuple[Vector, ...]:
    """The vectors of an answer to the inputs that were `said`. Raises `UpstreamProtocolError` unless there is one,
    and not an empty one, for each."""
    inputs = _inputs(said)
    several = isinstance(inputs, list) and bytes(inputs[0]).startswith((b'"', b"["))
    asked = len(inputs) if several else 1
    if len(reply.vectors) != asked:
        raise UpstreamProtocolError(f"the provider gave {len(reply.vectors)} vectors for {asked} inputs")
    if not all(reply.vectors):
        raise unreadable("one is empty")
    return reply.vectors


def unreadable(why: str) -> UpstreamProtocolError:
    return UpstreamProtocolError(f"the provider's answer has no readable vectors: {why}")


_inputs = msgspec.json.Decoder(str | list[msgspec.Raw]).decode


class TextVectorWire(VectorWire):
    """A wire that embeds texts only, never token ids, and whose error is one plain sentence under `error`."""

    inputs: ClassVar[str]
    """The field that holds the texts."""

    def error(self, error: HeadgateError, request_id: str) -> bytes:
        return encode({"error": error.message})

    def error_event(self, error: HeadgateError, request_id: str) -> bytes:
        return self.error(error, request_id) + b"\n"

    def read_texts(self, said: str | list[str]) -> tuple[str, ...]:
        if not said and isinstance(said, list):
            raise BadRequest(f"`{self.inputs}`: an empty list has nothing to embed", param=self.inputs)
        return (said,) if isinstance(said, str) else tuple(said)

    def texts(self, request: EmbeddingRequest) -> list[str]:
        """The inputs, if all are texts; else raises `WireNotServed`."""
        texts = [one for one in request.inputs if isinstance(one, str)]
        if len(texts) < len(request.inputs):
            raise WireNotServed("`input`: this model's provider takes texts, not token ids", param="input")
        return texts

    def written(self, body: msgspec.Struct, request: EmbeddingRequest) -> Written:
        return Written(open_body(encode(body)), () if request.user is None else ("user",))

    def failure(self, body: bytes) -> UpstreamError:
        """What an answer without vectors says: an error under `error`, or nothing readable."""
        try:
            return failure_inside(_error(body).error)
        except JUNK as error:
            return unreadable(str(error))


class _Error(msgspec.Struct):
    error: msgspec.Raw


_error = msgspec.json.Decoder(_Error).decode
