"""The chat completions wire: OpenAI's `/v1/chat/completions`, which most services speak."""

from __future__ import annotations

from typing import ClassVar

from headgate.wire.base import Ask, Reader, Writer, Written
from headgate.wire.chat import answers, request_reading, request_writing
from headgate.wire.chat.answer_shapes import ChatChunk, ChatCompletion
from headgate.wire.chat.request_shapes import ChatEnvelope, ChatRequest
from headgate.wire.chat.streams import ChatReader, ChatWriter
from headgate.wire.conversation import Conversation, Reply
from headgate.wire.openai import Envelope, OpenAIWire


class Chat(OpenAIWire):
    """OpenAI's chat completions, with the reasoning fields that others added."""

    name = "chat"
    envelope: ClassVar[type[Envelope]] = ChatEnvelope

    def read(self, body: bytes) -> Conversation:
        return request_reading.read(body)

    def write(self, conversation: Conversation) -> Written:
        return request_writing.write(conversation)

    def read_reply(self, body: bytes) -> Reply:
        self.look(body)
        return answers.read(body)

    def write_reply(self, reply: Reply) -> bytes:
        return answers.write(reply)

    def reader(self) -> Reader:
        return ChatReader()

    def writer(self, ask: Ask) -> Writer:
        return ChatWriter(ask)


CHAT = Chat()

__all__ = ["CHAT", "Chat", "ChatChunk", "ChatCompletion", "ChatRequest"]
