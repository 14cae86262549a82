"""Ollama's native embeddings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.errors import BadRequest, UpstreamError, UpstreamFailed, UpstreamProtocolError, WireNotServed
from headgate.types import Usage
from headgate.wire.base import encode
from headgate.wire.embeddings import EMBEDDINGS, EmbeddingReply, EmbeddingRequest
from headgate.wire.ollama_embed import OLLAMA_EMBED

requests = st.builds(
    EmbeddingRequest,
    model=st.text(min_size=1, max_size=20),
    inputs=st.lists(st.text(), min_size=1, max_size=4).map(tuple),
    dimensions=st.none() | st.integers(1, 4096),
)
vectors = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=4)


@given(requests)
def test_a_request_survives_writing_and_reading(request: EmbeddingRequest) -> None:
    assert OLLAMA_EMBED.read(encode(OLLAMA_EMBED.write(request).fields)) == request


@given(st.lists(vectors, min_size=1, max_size=3), st.none() | st.integers(0, 10_000))
def test_an_answer_survives_writing_and_reading(given_vectors: list[list[float]], tokens: int | None) -> None:
    ask = OLLAMA_EMBED.ask(encode({"model": "m", "input": ["x"] * len(given_vectors)}))
    reply = EmbeddingReply("m", tuple(given_vectors), None if tokens is None else Usage(prompt=tokens))
    body = OLLAMA_EMBED.write_reply(reply, ask)
    assert OLLAMA_EMBED.read_reply(body) == reply
    assert OLLAMA_EMBED.look(body).usage == reply.usage


def test_a_real_answer_is_read() -> None:
    body = (
        b'{"model":"all-minilm","embeddings":[[0.010071029,-0.0017594862],[-0.0098027075,0.06042469]],'
        b'"total_duration":14143917,"load_duration":1019500,"prompt_eval_count":8}'
    )
    reply = OLLAMA_EMBED.read_reply(body)
    assert reply.vectors == ([0.010071029, -0.0017594862], [-0.0098027075, 0.06042469])
    assert (reply.model, reply.usage) == ("all-minilm", Usage(prompt=8))


def test_long_texts_are_refused_rather_than_cut() -> None:
    assert bytes(OLLAMA_EMBED.write(EmbeddingRequest("m", ("a",))).fields["truncate"]) == b"false"
    assert OLLAMA_EMBED.read(b'{"model":"m","input":"a","truncate":true,"keep_alive":"5m"}').unread == (
        "truncate",
        "keep_alive",
    )


def test_token_ids_are_passed_over() -> None:
    with pytest.raises(WireNotServed) as refused:
        OLLAMA_EMBED.write(EmbeddingRequest("m", ("a", (1, 2))))
    assert refused.value.param == "input"


def test_settings_without_a_place_are_named() -> None:
    assert OLLAMA_EMBED.write(EmbeddingRequest("m", ("a",), user="u")).dropped == ("user",)


@pytest.mark.parametrize(
    ("body", "param"),
    [(b'{"model":"m","input":[]}', "input"), (b'{"model":"m"}', "input"), (b'{"model":"m","input":[[1]]}', "input[0]")],
)
def test_an_input_that_is_no_text_is_refused_by_name(body: bytes, param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        OLLAMA_EMBED.read(body)
    assert refused.value.param == param


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", UpstreamProtocolError),
        (b'{"model":"m"}', UpstreamProtocolError),
        (b'{"model":"m","embeddings":[["x"]]}', UpstreamProtocolError),
        (b'{"error":"model \\"x\\" not found, try pulling it first"}', UpstreamFailed),
    ],
)
def test_an_answer_without_vectors_is_a_failure(body: bytes, kind: type[UpstreamError]) -> None:
    with pytest.raises(kind) as failed:
        OLLAMA_EMBED.look(body)
    assert type(failed.value) is kind


def test_an_answer_reaches_an_openai_client_as_base64() -> None:
    ask = EMBEDDINGS.ask(b'{"model":"m","input":"a","encoding_format":"base64"}')
    body = EMBEDDINGS.write_reply(OLLAMA_EMBED.read_reply(b'{"model":"m","embeddings":[[0.5,-2]]}'), ask)
    assert b'"embedding":"AAAAPwAAAMA="' in body
    assert EMBEDDINGS.read_reply(body).vectors == ((0.5, -2.0),)
