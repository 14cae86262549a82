"""Ollama's native chat (`/api/chat`): a wire of its own, and not what Ollama offers under `/v1`."""

from __future__ import annotations

import msgspec

from headgate.errors import HeadgateError
from headgate.wire import ndjson
from headgate.wire.base import Ask, Fields, Look, Passage, Reader, TextWire, Writer, Written, encode
from headgate.wire.conversation import Conversation, Reply
from headgate.wire.ollama import answers, requests
from headgate.wire.ollama.shapes import Envelope
from headgate.wire.openai import open_body, read_body

_decode = msgspec.json.Decoder(Envelope).decode


class Ollama(TextWire):
    """Ollama's native chat. A stream is lines of JSON, and the default; usage comes with every answer."""

    name = "ollama"
    stream_type = "application/x-ndjson"

    def ask(self, body: bytes) -> Ask:
        seen = read_body(_decode, body)
        return Ask(model=seen.model, body=body, fields=open_body(body), stream=seen.stream is not False, counts=True)

    def look(self, body: bytes) -> Look:
        answer = answers.open_answer(body)
        return Look(answers.usage_of(answer), answer.model or "")

    def passage(self, ask: Ask) -> Passage:
        return answers.LinePassage()

    def want_usage(self, fields: Fields) -> None:
        """Usage comes with the last line of every stream."""

    def error(self, error: HeadgateError, request_id: str) -> bytes:
        return encode({"error": error.message})

    def error_event(self, error: HeadgateError, request_id: str) -> bytes:
        return ndjson.write(self.error(error, request_id))

    def read(self, body: bytes) -> Conversation:
        return requests.read(body)

    def write(self, conversation: Conversation) -> Written:
        return requests.write(conversation)

    def read_reply(self, body: bytes) -> Reply:
        return answers.read_reply(body)

    def write_reply(self, reply: Reply) -> bytes:
        return answers.write_reply(reply)

    def reader(self) -> Reader:
        return answers.ChatReader()

    def writer(self, ask: Ask) -> Writer:
        return answers.LineWriter(ask.model)


OLLAMA = Ollama()
