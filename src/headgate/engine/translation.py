"""What a target is sent and how its answer comes back: the bytes between equal wires, a translation between others."""

from __future__ import annotations

import msgspec

from headgate.engine.reach import Reach
from headgate.errors import WireNotServed
from headgate.types import Target, Usage
from headgate.wire.base import Ask, Fields, Passage, TextWire, Translation, Wire, encode
from headgate.wire.conversation import Conversation
from headgate.wire.vectors import EmbeddingRequest, VectorWire

NAMED = 64
NAME_CHARS = 64
"""How many of the dropped settings are named, and how much of each name: callers make them up."""


class Outgoing(msgspec.Struct, frozen=True):
    """A request as one target gets it, and the settings that it could not be given."""

    wire: Wire
    body: bytes
    dropped: tuple[str, ...]


class Incoming(msgspec.Struct, frozen=True):
    """A whole answer in the caller's dialect."""

    body: bytes
    usage: Usage | None
    model: str


def outgoing(asked: Wire, ask: Ask, reach: Reach, target: Target) -> Outgoing:
    """Builds the request. Raises `WireNotServed`, `ProviderNotConfigured` or `BadRequest`."""
    wire = reach.wire_for(asked, target.credential)
    dropped: tuple[str, ...] = ()
    if wire is asked:
        fields = dict(ask.fields)
        if target.model != ask.model:
            fields["model"] = msgspec.Raw(encode(target.model))
    else:
        fields, dropped = _translated(asked, wire, ask, reach, target)
    if ask.stream and not (wire is asked and ask.counts):
        wire.want_usage(fields)
    dropped += reach.provider.adjust(wire.name, target.model, fields)
    named = tuple(name[:NAME_CHARS] for name in dropped[:NAMED]) if dropped else ()
    return Outgoing(wire, ask.body if fields == ask.fields else encode(fields), named)


def _translated(asked: Wire, wire: Wire, ask: Ask, reach: Reach, target: Target) -> tuple[Fields, tuple[str, ...]]:
    if isinstance(asked, TextWire) and isinstance(wire, TextWire):
        conversation = reach.provider.suit(conversation_of(asked, ask, target))
        written = wire.write(conversation)
        return written.fields, conversation.unread + written.dropped
    if isinstance(asked, VectorWire) and isinstance(wire, VectorWire):
        request = vectors_of(asked, ask, target)
        vectors = wire.write(request)
        return vectors.fields, request.unread + vectors.dropped
    raise WireNotServed(f"{asked.name} cannot be translated to {wire.name}")


def conversation_of(asked: TextWire, ask: Ask, target: Target) -> Conversation:
    """The request in no dialect, addressed to a target's model."""
    return msgspec.structs.replace(asked.read(ask.body), model=target.model)


def vectors_of(asked: VectorWire, ask: Ask, target: Target) -> EmbeddingRequest:
    """The same for vectors."""
    return msgspec.structs.replace(asked.read(ask.body), model=target.model)


def incoming(asked: Wire, wire: Wire, ask: Ask, body: bytes) -> Incoming:
    """Reads a whole answer. Raises `UpstreamProtocolError` for junk, `UpstreamFailed` for an error object."""
    if wire is asked:
        look = wire.look(body)
        return Incoming(body, look.usage, look.model)
    if isinstance(asked, TextWire) and isinstance(wire, TextWire):
        reply = wire.read_reply(body)
        return Incoming(asked.write_reply(reply), reply.usage, reply.model)
    if isinstance(asked, VectorWire) and isinstance(wire, VectorWire):
        vectors = wire.read_reply(body)
        return Incoming(asked.write_reply(vectors, ask), vectors.usage, vectors.model)
    raise WireNotServed(f"{wire.name} cannot be translated to {asked.name}")


def passage(asked: Wire, wire: Wire, ask: Ask) -> Passage:
    """Follows a stream from a target's wire to the caller's."""
    if wire is asked:
        return wire.passage(ask)
    if isinstance(asked, TextWire) and isinstance(wire, TextWire):
        return Translation(wire.reader(), asked.writer(ask))
    raise WireNotServed(f"{wire.name} has no streams")
