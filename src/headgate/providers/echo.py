"""A provider without a network: it says back what the user said, so that the first call works with no key."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator
from hashlib import shake_256
from math import sqrt
from struct import iter_unpack
from time import time
from uuid import uuid4

from headgate.errors import BadRequest
from headgate.providers.base import Provider
from headgate.types import Usage
from headgate.wire.conversation import AnyEvent, Conversation, Counted, Message, Started, Stopped, Text, TextDelta
from headgate.wire.vectors import EmbeddingReply, EmbeddingRequest

DIMENSIONS = 16
"""The length of a vector where the caller names none."""
NUMBERS_MAX = 1_000_000
"""How many numbers one request gets: they are made while nobody else is answered."""

_WORD = re.compile(r"\s*\S+(?:\s+$)?")


class Echo(Provider):
    """Answers with the last user's text, word by word, and with vectors that depend on nothing but the input.

    Its tokens are words. It calls no tool, and it stops at the caller's `max_tokens`.
    """

    name = "echo"
    key_needed = False
    responds = True
    embeds = True
    known_models = ("echo",)

    async def respond(self, conversation: Conversation) -> AsyncGenerator[AnyEvent, None]:
        words = _WORD.findall(_last_user_text(conversation))
        limit = conversation.settings.max_tokens
        said = words[:limit]
        choices = range(conversation.settings.choices or 1)
        yield Started(id=f"echo-{uuid4().hex}", model=conversation.model, created=int(time()))
        for choice in choices:
            for word in said:
                yield TextDelta(text=word, choice=choice)
            yield Stopped(stop="stop" if said == words else "length", choice=choice)
        heard = sum(len(text.split()) for message in conversation.messages for text in _texts(message))
        yield Counted(usage=Usage(prompt=heard, completion=len(said) * len(choices)))

    def embed(self, request: EmbeddingRequest) -> EmbeddingReply:
        size = request.dimensions or DIMENSIONS
        if size * len(request.inputs) > NUMBERS_MAX:
            raise BadRequest(f"echo makes at most {NUMBERS_MAX} numbers for one request", param="input")
        vectors = tuple(_vector(repr(text).encode(), size) for text in request.inputs)
        heard = sum(len(text.split()) if isinstance(text, str) else len(text) for text in request.inputs)
        return EmbeddingReply(model=request.model, vectors=vectors, usage=Usage(prompt=heard))


def _last_user_text(conversation: Conversation) -> str:
    for message in reversed(conversation.messages):
        if message.role == "user":
            return "".join(_texts(message))
    return ""


def _texts(message: Message) -> Iterator[str]:
    return (part.text for part in message.parts if isinstance(part, Text))


def _vector(seed: bytes, dimensions: int) -> tuple[float, ...]:
    """A unit vector drawn from the seed's hash."""
    drawn = [number - 32767.5 for (number,) in iter_unpack("<H", shake_256(seed).digest(2 * dimensions))]
    length = sqrt(sum(number * number for number in drawn))
    return tuple(number / length for number in drawn)
