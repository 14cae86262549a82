"""What others copied from OpenAI besides chat: text completions and embeddings."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from headgate.testing.answers import Answer, Piece, Refused, Reply, count, tokens
from headgate.testing.dialects.base import JSON, Call, Object, Route, encode
from headgate.testing.dialects.chat import ChatDialect, StreamOptions
from headgate.testing.dialects.events import DONE, event, odd
from headgate.testing.dialects.vectors import Texts, VectorsBody, texts, vectors
from headgate.types import Usage


class CompletionBody(msgspec.Struct, frozen=True):
    """The fields of the older text completion that change what comes back."""

    prompt: Texts
    model: str = ""
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    stop: str | list[str] | None = None
    n: int | None = None

    @property
    def counts(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage

    @property
    def stops(self) -> tuple[str, ...]:
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())


class CompletionsDialect(ChatDialect):
    """A service that speaks all three of OpenAI's text shapes: chat, completions, embeddings."""

    def routes(self) -> list[Route]:
        return [
            *super().routes(),
            Route("POST", f"{self.root}/completions", self.complete),
            Route("POST", f"{self.root}/embeddings", self.embed),
        ]

    def embed(self, call: Call) -> Reply:
        self.admit(call)
        body = call.read(VectorsBody)
        self.find(body.model)
        prompt, data = vectors(body)
        usage = Usage(prompt=prompt)
        found: Object = {
            "object": "list",
            "data": data,
            "model": body.model,
            "usage": {"prompt_tokens": usage.prompt, "total_tokens": usage.total},
        }
        return Reply(200, JSON | self.headers(call), [Piece(encode(found))], usage)

    def complete(self, call: Call) -> Reply:
        self.admit(call)
        body = call.read(CompletionBody)
        self.find(body.model)
        if body.stream_options is not None and not body.stream:
            raise Refused(400, "stream_options goes only with stream.", param="stream_options")
        prompts = texts(body.prompt)
        answer = call.script(body.model, Answer(text=prompts[-1])).bounded(body.max_tokens, body.stops)
        copies = len(prompts) * (body.n or 1)
        usage = self.charge(answer, sum(count(prompt) for prompt in prompts), copies, body.model)
        own: Object = {"object": "text_completion", "id": f"cmpl-fake{call.number}"}
        envelope = self.envelope(call, body.model) | own
        report = self.usage_object(usage, body.model)
        if body.stream:
            pieces = odd(_events(envelope, answer, copies, report if body.counts else {}), answer.oddities)
            headers = {"content-type": "text/event-stream"} | self.headers(call)
            return Reply(200, headers, pieces, usage, stream=True, pacing=answer.pacing)
        choices = [_choice(index, answer.text, answer.finish) for index in range(copies)]
        piece = Piece(encode(envelope | {"choices": choices, "usage": report}), usage.completion)
        return Reply(200, JSON | self.headers(call), [piece], usage, pacing=answer.pacing)


def _events(envelope: Object, answer: Answer, copies: int, report: Object) -> Iterator[Piece]:
    unsaid: Object = {"usage": None} if report else {}
    for token in tokens(answer.text):
        for index in range(copies):
            yield Piece(event(envelope | unsaid | {"choices": [_choice(index, token)]}), count(token))
    for index in range(copies):
        yield Piece(event(envelope | unsaid | {"choices": [_choice(index, "", answer.finish)]}))
    if report:
        yield Piece(event(envelope | {"choices": [], "usage": report}))
    yield Piece(DONE)


def _choice(index: int, text: str, finish: str = "") -> Object:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish or None}
