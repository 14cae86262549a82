"""HuggingFace's feature extraction: answers of every depth become one vector for each text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.errors import BadRequest, UpstreamError, UpstreamFailed, UpstreamProtocolError, WireNotServed
from headgate.wire.base import encode
from headgate.wire.embeddings import EMBEDDINGS, EmbeddingReply, EmbeddingRequest
from headgate.wire.features import FEATURES

texts = st.lists(st.text(), min_size=1, max_size=4).map(tuple)
numbers = st.floats(allow_nan=False, allow_infinity=False)


@given(texts)
def test_a_request_survives_writing_and_reading(inputs: tuple[str, ...]) -> None:
    request = EmbeddingRequest("", inputs)
    written = FEATURES.write(request)
    assert FEATURES.read(encode(written.fields)) == request
    assert written.dropped == ()


@given(st.lists(st.lists(numbers, min_size=1, max_size=4), min_size=1, max_size=4))
def test_vectors_survive_writing_and_reading(vectors: list[list[float]]) -> None:
    ask = FEATURES.ask(encode({"inputs": ["x"] * len(vectors)}))
    reply = EmbeddingReply("", tuple(vectors))
    assert FEATURES.read_reply(FEATURES.write_reply(reply, ask)) == reply


@pytest.mark.parametrize(
    ("body", "vectors"),
    [
        (b"[1, 2]", ([1.0, 2.0],)),
        (b"[[1,2],[3,4]]", ([1.0, 2.0], [3.0, 4.0])),
        (b" [ [ [1,2],[3,4] ], [[5,6]] ]", ([2.0, 3.0], [5.0, 6.0])),
        (b"[[[[1,2],[3,4]]],[[[5,6]]]]", ([2.0, 3.0], [5.0, 6.0])),
    ],
)
def test_token_matrices_become_their_mean(body: bytes, vectors: tuple[list[float], ...]) -> None:
    assert FEATURES.read_reply(body).vectors == vectors


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", UpstreamProtocolError),
        (b"null", UpstreamProtocolError),
        (b'["x"]', UpstreamProtocolError),
        (b"[[1],2]", UpstreamProtocolError),
        (b"[[[1,2],[3]]]", UpstreamProtocolError),
        (b"[[[]]]", UpstreamProtocolError),
        (b"[[[[1]],[[2]]]]", UpstreamProtocolError),
        (b"[[[[[1]]]]]", UpstreamProtocolError),
        (b"[" * 100_000, UpstreamProtocolError),
        (b'{"hello":1}', UpstreamProtocolError),
        (b'{"error":"Model is loading","estimated_time":20.0}', UpstreamFailed),
    ],
)
def test_an_answer_without_vectors_is_a_failure(body: bytes, kind: type[UpstreamError]) -> None:
    with pytest.raises(kind) as failed:
        FEATURES.write_reply(FEATURES.read_reply(body), FEATURES.ask(b'{"inputs":"x"}'))
    assert type(failed.value) is kind


def test_what_would_change_the_vectors_unsaid_is_passed_over() -> None:
    with pytest.raises(WireNotServed) as refused:
        FEATURES.write(EmbeddingRequest("m", ("a",), dimensions=256))
    assert refused.value.param == "dimensions"
    with pytest.raises(WireNotServed) as refused:
        FEATURES.write(EmbeddingRequest("m", ((1, 2),)))
    assert refused.value.param == "input"


def test_settings_without_a_place_are_named() -> None:
    assert FEATURES.write(EmbeddingRequest("m", ("a",), user="u")).dropped == ("user",)
    assert FEATURES.read(b'{"inputs":"a","normalize":true,"truncate":null}').unread == ("normalize",)


def test_an_empty_list_of_texts_is_refused() -> None:
    with pytest.raises(BadRequest) as refused:
        FEATURES.read(b'{"inputs":[]}')
    assert refused.value.param == "inputs"


def test_an_answer_reaches_an_openai_client() -> None:
    ask = EMBEDDINGS.ask(b'{"model":"org/m","input":["a","b"]}')
    body = EMBEDDINGS.write_reply(FEATURES.read_reply(b"[[1,2],[3,4]]"), ask)
    assert EMBEDDINGS.read_reply(body).vectors == ([1.0, 2.0], [3.0, 4.0])
    assert EMBEDDINGS.look(body).model == "org/m"


def test_errors_are_one_sentence() -> None:
    assert FEATURES.error(BadRequest("no"), "req_1") == b'{"error":"no"}'
