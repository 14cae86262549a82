"""The messages wire: Anthropic's `/v1/messages`."""

from __future__ import annotations

import msgspec

from headgate.errors import HeadgateError
from headgate.wire.base import Ask, Fields, Look, Passage, Reader, TextWire, Writer, Written
from headgate.wire.conversation import Conversation, Reply
from headgate.wire.messages import answers, failures, request_reading, request_writing
from headgate.wire.messages.answer_shapes import MessageAnswer, MessageEvent
from headgate.wire.messages.passing import MessagesPassage
from headgate.wire.messages.request_shapes import MessagesEnvelope, MessagesRequest
from headgate.wire.messages.streams import MessagesReader, MessagesWriter
from headgate.wire.openai import open_body, read_body

_envelope = msgspec.json.Decoder(MessagesEnvelope).decode


class Messages(TextWire):
    """Anthropic's messages. Usage comes in every stream, asked for or not."""

    name = "messages"
    request_id_headers = (b"x-request-id", b"request-id")
    event_model = ("message", "model")

    def ask(self, body: bytes) -> Ask:
        fields = open_body(body)
        seen = read_body(_envelope, body)
        return Ask(model=seen.model, body=body, fields=fields, stream=bool(seen.stream), counts=True)

    def look(self, body: bytes) -> Look:
        return answers.look(body)

    def passage(self, ask: Ask) -> Passage:
        return MessagesPassage()

    def want_usage(self, fields: Fields) -> None:
        """Nothing to ask for."""

    def error(self, error: HeadgateError, request_id: str) -> bytes:
        return failures.write(error, request_id)

    def error_event(self, error: HeadgateError, request_id: str) -> bytes:
        return failures.write_event(error, request_id)

    def read(self, body: bytes) -> Conversation:
        return request_reading.read(body)

    def write(self, conversation: Conversation) -> Written:
        return request_writing.write(conversation)

    def read_reply(self, body: bytes) -> Reply:
        return answers.read(body)

    def write_reply(self, reply: Reply) -> bytes:
        return answers.write(reply)

    def reader(self) -> Reader:
        return MessagesReader()

    def writer(self, ask: Ask) -> Writer:
        return MessagesWriter(ask)


MESSAGES = Messages()

__all__ = ["MESSAGES", "MessageAnswer", "MessageEvent", "Messages", "MessagesRequest"]
