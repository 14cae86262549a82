"""OpenAI's embeddings: inputs in all their forms, vectors bit for bit, junk refused."""

from __future__ import annotations

import array
import base64
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.errors import BadRequest, UpstreamError, UpstreamFailed, UpstreamProtocolError
from headgate.types import Usage
from headgate.wire.base import Ask, encode
from headgate.wire.embeddings import EMBEDDINGS, EmbeddingReply, EmbeddingRequest
from tests.wire.shapes import assert_embeddings

token_ids = st.lists(st.integers(0, 200_000), min_size=1, max_size=5).map(tuple)
inputs = (
    st.lists(st.text(), min_size=1, max_size=4).map(tuple)
    | st.lists(token_ids, min_size=1, max_size=4).map(tuple)
    | token_ids.map(lambda ids: (ids,))
)
requests = st.builds(
    EmbeddingRequest,
    model=st.text(min_size=1, max_size=20),
    inputs=inputs,
    dimensions=st.none() | st.integers(1, 4096),
    encoding=st.sampled_from(["float", "base64"]),
    user=st.none() | st.text(),
)
numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)
vectors = st.lists(numbers, min_size=1, max_size=6)


def asked(*, count: int = 1, encoding: str = "float") -> Ask:
    return EMBEDDINGS.ask(encode({"model": "asked", "input": ["x"] * count, "encoding_format": encoding}))


@given(requests)
def test_a_request_survives_writing_and_reading(request: EmbeddingRequest) -> None:
    assert EMBEDDINGS.read(encode(EMBEDDINGS.write(request).fields)) == request


@pytest.mark.parametrize(
    ("said", "inputs"),
    [
        (b'"a text"', ("a text",)),
        (b'["a","b"]', ("a", "b")),
        (b"[1,2,3]", ((1, 2, 3),)),
        (b"[[1,2],[3]]", ((1, 2), (3,))),
        (b'""', ("",)),
    ],
)
def test_an_input_is_a_text_or_token_ids_or_a_list_of_either(said: bytes, inputs: tuple[object, ...]) -> None:
    body = b'{"model":"m","input":' + said + b"}"
    assert EMBEDDINGS.read(body).inputs == inputs
    reply = EmbeddingReply("m", tuple([0.5] for _ in inputs))
    assert len(assert_embeddings(EMBEDDINGS.write_reply(reply, EMBEDDINGS.ask(body))).data) == len(inputs)


@pytest.mark.parametrize(
    "said", [b"[]", b'["a",1]', b'[1,"a"]', b"[[1],2]", b"7", b"{}", b"null", b"[null]", b"[[1.5]]"]
)
def test_an_input_that_is_neither_is_refused_by_name(said: bytes) -> None:
    with pytest.raises(BadRequest) as refused:
        EMBEDDINGS.read(b'{"model":"m","input":' + said + b"}")
    assert (refused.value.param or "").startswith("input")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"model":"m"}', "input"),
        (b'{"input":"a"}', "model"),
        (b'{"model":"m","input":"a","encoding_format":"int8"}', "encoding_format"),
        (b'{"model":"m","input":"a","stream":true}', "stream"),
    ],
)
def test_a_request_that_cannot_be_served_is_refused_at_once(body: bytes, param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        EMBEDDINGS.ask(body)
    assert refused.value.param == param


def test_fields_of_others_are_named() -> None:
    body = b'{"model":"m","input":"a","input_type":"query","stream":false,"seed":null}'
    assert EMBEDDINGS.read(body).unread == ("input_type",)


@given(st.lists(vectors, min_size=1, max_size=4), st.sampled_from(["float", "base64"]))
def test_vectors_survive_writing_and_reading_bit_for_bit(given_vectors: list[list[float]], encoding: str) -> None:
    reply = EmbeddingReply("m", tuple(given_vectors), Usage(prompt=7))
    read = EMBEDDINGS.read_reply(EMBEDDINGS.write_reply(reply, asked(count=len(given_vectors), encoding=encoding)))
    assert [packed(vector) for vector in read.vectors] == [packed(vector) for vector in given_vectors]
    assert (read.model, read.usage) == (reply.model, reply.usage)


def packed(vector: object) -> bytes:
    floats = array.array("f", vector)  # type: ignore[call-overload]
    if sys.byteorder == "big":
        floats.byteswap()
    return bytes(floats.tobytes())


@given(vectors)
def test_base64_is_what_the_openai_client_unpacks(vector: list[float]) -> None:
    body = EMBEDDINGS.write_reply(EmbeddingReply("m", (vector,)), asked(encoding="base64"))
    row = msgspec.json.decode(body)["data"][0]
    assert base64.b64decode(row["embedding"], validate=True) == packed(vector)
    assert (row["index"], row["object"]) == (0, "embedding")


@given(st.lists(vectors, min_size=1, max_size=3))
def test_answers_have_openais_shape(given_vectors: list[list[float]]) -> None:
    reply = EmbeddingReply("", tuple(given_vectors), Usage(prompt=5))
    shape = assert_embeddings(EMBEDDINGS.write_reply(reply, asked(count=len(given_vectors))))
    assert [row.embedding for row in shape.data] == given_vectors
    assert [row.index for row in shape.data] == list(range(len(given_vectors)))
    assert (shape.model, shape.usage.prompt_tokens, shape.usage.total_tokens) == ("asked", 5, 5)


def test_rows_are_put_in_the_order_of_the_inputs() -> None:
    body = b'{"data":[{"index":1,"embedding":[2]},{"index":0,"embedding":[1]}],"model":"m"}'
    assert EMBEDDINGS.read_reply(body).vectors == ([1.0], [2.0])


def test_usage_is_noticed_in_an_answer_that_passes() -> None:
    body = b'{"data":[{"embedding":[1],"index":0}],"model":"m","usage":{"prompt_tokens":4,"total_tokens":4}}'
    look = EMBEDDINGS.look(body)
    assert (look.model, look.usage) == ("m", Usage(prompt=4))
    assert EMBEDDINGS.read_reply(body).usage == look.usage


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", UpstreamProtocolError),
        (b"<html>", UpstreamProtocolError),
        (b"{}", UpstreamProtocolError),
        (b'{"data":[{"embedding":"AAA"}]}', UpstreamProtocolError),
        (b'{"data":[{"embedding":"AAAAAAA="}]}', UpstreamProtocolError),
        (b'{"data":[{"embedding":["x"]}]}', UpstreamProtocolError),
        (b'{"data":[{"index":0}]}', UpstreamProtocolError),
        (b'{"error":{"message":"no","code":500}}', UpstreamFailed),
    ],
)
def test_an_answer_without_vectors_is_a_failure(body: bytes, kind: type[UpstreamError]) -> None:
    with pytest.raises(kind):
        EMBEDDINGS.read_reply(body)


@pytest.mark.parametrize("given_vectors", [((1.0,),), ((1.0,), (2.0,), (3.0,)), ((1.0,), ())])
def test_an_answer_with_too_few_too_many_or_empty_vectors_is_never_passed_on(
    given_vectors: tuple[tuple[float, ...], ...],
) -> None:
    with pytest.raises(UpstreamProtocolError):
        EMBEDDINGS.write_reply(EmbeddingReply("m", given_vectors), asked(count=2))


def test_a_number_beyond_32_bits_is_not_packed() -> None:
    with pytest.raises(UpstreamProtocolError, match="32-bit"):
        EMBEDDINGS.write_reply(EmbeddingReply("m", ([1e300],)), asked(encoding="base64"))


def test_embeddings_are_never_streamed() -> None:
    with pytest.raises(BadRequest) as refused:
        EMBEDDINGS.passage(asked())
    assert refused.value.param == "stream"
