"""The completions wire: OpenAI's older `/v1/completions`, one text continued or a gap in it filled."""

from __future__ import annotations

from typing import ClassVar

from headgate.wire.base import Ask, Reader, Writer, Written
from headgate.wire.completions import answers, requests
from headgate.wire.completions.shapes import Completion, CompletionEnvelope, CompletionRequest
from headgate.wire.conversation import Conversation, Reply
from headgate.wire.openai import Envelope, OpenAIWire


class Completions(OpenAIWire):
    """OpenAI's completions. Towards other wires, a prompt is the one message of a user, and thinking is no text."""

    name = "completions"
    envelope: ClassVar[type[Envelope]] = CompletionEnvelope

    def read(self, body: bytes) -> Conversation:
        return requests.read(body)

    def write(self, conversation: Conversation) -> Written:
        return requests.write(conversation)

    def read_reply(self, body: bytes) -> Reply:
        self.look(body)
        return answers.read_reply(body)

    def write_reply(self, reply: Reply) -> bytes:
        return answers.write_reply(reply)

    def reader(self) -> Reader:
        return answers.ChunkReader()

    def writer(self, ask: Ask) -> Writer:
        return answers.ChunkWriter(ask)


COMPLETIONS = Completions()

__all__ = ["COMPLETIONS", "Completion", "CompletionRequest", "Completions"]
