"""OpenAI's own API: chat, completions, embeddings, models, and what its newer models refuse."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

import msgspec

from headgate.testing.answers import Answer, Piece, Refused, Reply, count, tokens
from headgate.testing.dialects.base import JSON, Call, Object, Route, encode
from headgate.testing.dialects.chat import ChatBody, ChatDialect, StreamOptions
from headgate.testing.dialects.events import DONE, event, odd
from headgate.testing.dialects.vectors import VectorsBody, vectors
from headgate.types import Usage

_REASONS = re.compile(r"o\d|gpt-[5-9](?!-chat)")

REQUESTS = 10_000
TOKENS = 2_000_000


class CompletionBody(msgspec.Struct, frozen=True):
    """The fields of the older text completion that change what comes back."""

    prompt: str | list[str] | list[int] | list[list[int]]
    model: str = ""
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    stop: str | list[str] | None = None
    n: int | None = None

    @property
    def prompts(self) -> list[str]:
        """Each prompt as text; token ids become words, so that they count as many."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        texts = [prompt for prompt in self.prompt if isinstance(prompt, str)]
        if texts:
            return texts
        lists = [prompt for prompt in self.prompt if isinstance(prompt, list)]
        ids = lists or [[number for number in self.prompt if isinstance(number, int)]]
        return [" ".join(map(str, numbers)) for numbers in ids]

    @property
    def stops(self) -> tuple[str, ...]:
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())


class OpenAI(ChatDialect):
    """api.openai.com. Reasoning is counted and never shown."""

    name = "openai"
    prefix = "/openai"
    base = "/v1"
    library: ClassVar[tuple[str, ...]] = (
        "gpt-4o",
        "gpt-4o-mini",
        "gpt-3.5-turbo",
        "gpt-5",
        "o3",
        "text-embedding-3-small",
        "gpt-3.5-turbo-instruct",
    )

    def routes(self) -> list[Route]:
        return [
            *super().routes(),
            Route("POST", "/v1/completions", self.complete),
            Route("POST", "/v1/embeddings", self.embed),
            Route("GET", "/v1/models/{model}", self.show_model),
        ]

    def headers(self, call: Call) -> dict[str, str]:
        return super().headers(call) | {
            "openai-processing-ms": "1",
            "openai-version": "2020-10-01",
            "x-ratelimit-limit-requests": str(REQUESTS),
            "x-ratelimit-limit-tokens": str(TOKENS),
            "x-ratelimit-remaining-requests": str(max(REQUESTS - 1 - call.number, 0)),
            "x-ratelimit-remaining-tokens": str(max(TOKENS - len(call.request.body) // 4, 0)),
            "x-ratelimit-reset-requests": "6ms",
            "x-ratelimit-reset-tokens": "1m0s",
        }

    def check(self, body: ChatBody) -> None:
        if not _REASONS.match(body.model):
            return
        if body.max_tokens is not None:
            said = "Unsupported parameter: 'max_tokens'; this model takes 'max_completion_tokens'."
            raise Refused(400, said, code="unsupported_parameter", param="max_tokens")
        for name, value, default in (
            ("temperature", body.temperature, 1),
            ("top_p", body.top_p, 1),
            ("presence_penalty", body.presence_penalty, 0),
            ("frequency_penalty", body.frequency_penalty, 0),
        ):
            if value not in (None, default):
                said = f"Unsupported value: this model takes no {name!r} but {default}, the default."
                raise Refused(400, said, code="unsupported_value", param=name)

    def show_model(self, call: Call) -> Reply:
        self.admit(call)
        if not self.has(call.in_path):
            raise self.no_model(call.in_path)
        return self.whole(call, self.model_row(call.in_path))

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
        answer = call.script(body.model, Answer(text=body.prompts[-1])).bounded(body.max_tokens, body.stops)
        copies = len(body.prompts) * (body.n or 1)
        usage = self.charge(answer, sum(count(prompt) for prompt in body.prompts), copies, body.model)
        envelope: Object = {"object": "text_completion", **self.envelope(call, body.model)} | {
            "id": f"cmpl-fake{call.number}"
        }
        if not body.stream:
            choices = [_text_choice(index, answer.text, answer.finish) for index in range(copies)]
            whole = envelope | {"choices": choices, "usage": self.usage_object(usage, body.model)}
            return Reply(
                200, JSON | self.headers(call), [Piece(encode(whole), usage.completion)], usage, pacing=answer.pacing
            )
        counts = body.stream_options is not None and body.stream_options.include_usage
        pieces = self._text_events(envelope, answer, copies, self.usage_object(usage, body.model) if counts else None)
        headers = {"content-type": "text/event-stream"} | self.headers(call)
        return Reply(200, headers, odd(pieces, answer.oddities), usage, stream=True, pacing=answer.pacing)

    def _text_events(self, envelope: Object, answer: Answer, copies: int, report: Object | None) -> Iterator[Piece]:
        unsaid: Object = {"usage": None} if report else {}
        for token in tokens(answer.text):
            for index in range(copies):
                yield Piece(event(envelope | unsaid | {"choices": [_text_choice(index, token)]}), count(token))
        for index in range(copies):
            yield Piece(event(envelope | unsaid | {"choices": [_text_choice(index, "", answer.finish)]}))
        if report:
            yield Piece(event(envelope | {"choices": [], "usage": report}))
        yield Piece(DONE)


def _text_choice(index: int, text: str, finish: str = "") -> Object:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish or None}
