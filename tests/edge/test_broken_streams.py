"""Streams that are cut or split at every byte, through the whole gateway."""

from __future__ import annotations

import json

import httpx
import pytest

from headgate.testing import FakeUpstream
from headgate.testing.answers import Answer, Oddity, Pacing
from headgate.testing.faults import Cut
from headgate.testing.gateway import RunningGateway
from tests.clients.judge import DONE, assert_error, events
from tests.usage import row_of, rows

MODELS = ["gpt-4o", "claude-sonnet-4-5", "ollama/llama2"]
TEXT = "zwei Gärten 🌳"
ODDITIES: list[frozenset[Oddity]] = [
    frozenset({"crlf"}),
    frozenset({"cr"}),
    frozenset({"bom", "comments"}),
    frozenset({"empty_data", "second_finish"}),
    frozenset({"usage_twice"}),
]


def stream(http: httpx.Client, fake: FakeUpstream, model: str, answer: Answer) -> httpx.Response:
    fake.script(answer)
    ask = {"model": model, "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
    return http.post("/v1/chat/completions", json=ask)


def told(body: bytes) -> tuple[str, list[str]]:
    """The text of a stream, and its finish reasons."""
    choices = [
        choice for data in events(body) if data != DONE for choice in json.loads(data).get("choices", ()) if choice
    ]
    text = "".join(choice["delta"].get("content") or "" for choice in choices)
    return text, [choice["finish_reason"] for choice in choices if choice["finish_reason"]]


def size_of(http: httpx.Client, fake: FakeUpstream, model: str, answer: Answer) -> int:
    """How many bytes the provider's stream has."""
    fake.journal.clear()
    stream(http, fake, model, answer)
    return next(entry.bytes_sent for entry in fake.journal if entry.method == "POST")


@pytest.mark.parametrize("how", ["fin", "clean"])
@pytest.mark.parametrize("model", MODELS)
def test_a_stream_cut_at_any_byte_is_whole_or_says_that_it_is_not(
    http: httpx.Client, fake: FakeUpstream, model: str, how: str
) -> None:
    answer = Answer(text=TEXT)
    for offset in range(0, size_of(http, fake, model, answer), 3 if how == "fin" else 7):
        fake.fault(f"cut={offset}; how={how}")
        got = stream(http, fake, model, answer)
        if got.status_code != 200:
            assert_error(got.content)
            assert got.status_code == 502
            continue
        text, finished = told(got.content)
        *_, last = events(got.content)
        if last == DONE:
            assert (text, finished) == (TEXT, ["stop"]), f"cut after byte {offset}"
        else:
            assert_error(last)
            assert TEXT.startswith(text), f"cut after byte {offset}"


def test_a_cut_stream_is_written_down_as_partial(
    http: httpx.Client, gateway: RunningGateway, fake: FakeUpstream
) -> None:
    fake.fault(Cut(after_bytes=900))
    got = stream(http, fake, "gpt-4o", Answer(text="one two three four five six seven"))
    row = row_of(gateway, got.headers["x-request-id"])
    assert (row["status"], row["error"], row["partial"], row["estimated"]) == (200, "upstream_stream_cut", True, True)
    assert 0 < row["completion_tokens"] <= 7


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_split_at_any_byte_is_the_same(http: httpx.Client, fake: FakeUpstream, model: str) -> None:
    answer = Answer(text=TEXT)
    whole = told(stream(http, fake, model, answer).content)
    assert whole == (TEXT, ["stop"])
    for offset in range(1, size_of(http, fake, model, answer), 3):
        split = Answer(text=TEXT, pacing=Pacing(split_at=(offset,)))
        assert told(stream(http, fake, model, split).content) == whole, f"split after byte {offset}"


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_that_comes_byte_by_byte_is_the_same(http: httpx.Client, fake: FakeUpstream, model: str) -> None:
    one = Answer(text=TEXT, pacing=Pacing(split_every=1))
    assert told(stream(http, fake, model, one).content) == (TEXT, ["stop"])


@pytest.mark.parametrize("oddities", ODDITIES, ids=lambda value: "+".join(sorted(value)))
@pytest.mark.parametrize("model", ["gpt-4o", "claude-sonnet-4-5", "deepseek-chat", "openrouter/openai/gpt-4o"])
def test_the_habits_of_streams_in_the_wild_change_nothing(
    http: httpx.Client, gateway: RunningGateway, fake: FakeUpstream, model: str, oddities: frozenset[Oddity]
) -> None:
    got = stream(http, fake, model, Answer(text=TEXT, oddities=oddities))
    text, finished = told(got.content)
    assert text == TEXT
    assert set(finished) == {"stop"}
    assert events(got.content)[-1] == DONE
    row = row_of(gateway, got.headers["x-request-id"])
    assert (row["prompt_tokens"], row["completion_tokens"], row["estimated"]) == (1, 3, False)


def test_usage_streamed_is_usage_not_streamed(http: httpx.Client, gateway: RunningGateway, fake: FakeUpstream) -> None:
    answer = Answer(text="one two three", thinking="let me see", cached=1)
    for model in (*MODELS, "deepseek-reasoner", "openrouter/openai/gpt-4o"):
        streamed = stream(http, fake, model, answer)
        fake.script(answer)
        ask = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
        whole = http.post("/v1/chat/completions", json=ask)
        one, other = (row_of(gateway, got.headers["x-request-id"]) for got in (streamed, whole))
        counted = [name for name in one if name.endswith("_tokens")] + ["cost_usd", "estimated"]
        assert [one[name] for name in counted] == [other[name] for name in counted], model


def test_the_ledger_agrees_with_the_providers_own_count(
    http: httpx.Client, gateway: RunningGateway, fake: FakeUpstream
) -> None:
    ids = {
        stream(http, fake, model, Answer(text="word " * count)).headers["x-request-id"]
        for count, model in enumerate(MODELS * 4, 1)
    }
    for request in ids:
        row_of(gateway, request)
    mine = [row for row in rows(gateway) if row["request_id"] in ids]
    charged = fake.journal.charged
    assert sum(row["prompt_tokens"] for row in mine) == charged.prompt
    assert sum(row["completion_tokens"] for row in mine) == charged.completion
