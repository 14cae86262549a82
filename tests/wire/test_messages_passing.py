from __future__ import annotations

import pytest
from hypothesis import given

from headgate.errors import StreamCut, UpstreamFailed, UpstreamProtocolError
from headgate.types import Usage
from headgate.wire.base import Ask, Passage
from headgate.wire.conversation import Reply
from headgate.wire.messages import MESSAGES
from tests.wire.strategies import cut_lists, events_of, messages_replies, split
from tests.wire.test_messages_streams import END, HELLO, START, STOP, event, written

ASK = Ask("m", b"", {}, stream=True, counts=True)
STREAM = START + event("ping") + HELLO + END + STOP


def passed(chunks: list[bytes]) -> tuple[bytes, Passage]:
    passage = MESSAGES.passage(ASK)
    return b"".join(passage.feed(chunk) for chunk in chunks) + passage.finish(), passage


def noticed(passage: Passage) -> tuple[object, ...]:
    return passage.usage, passage.model, passage.pieces, passage.ended, passage.failure


def test_bytes_pass_and_usage_is_noticed() -> None:
    out, passage = passed([STREAM])
    assert out == STREAM
    assert noticed(passage) == (Usage(9, 5), "m", 2, True, None)


@given(messages_replies, cut_lists)
def test_nothing_depends_on_how_the_stream_was_split(reply: Reply, cuts: list[int]) -> None:
    stream = written(events_of(reply))
    out, passage = passed(split(stream, cuts))
    whole, other = passed([stream])
    assert out == whole == stream
    assert noticed(passage) == noticed(other)
    assert passage.usage == (reply.usage or Usage())


def test_every_cut_gives_the_same() -> None:
    for cut in range(len(STREAM)):
        out, passage = passed([STREAM[:cut], STREAM[cut:]])
        assert out == STREAM
        assert noticed(passage) == (Usage(9, 5), "m", 2, True, None)


def test_a_cut_stream_is_found_at_every_byte_and_keeps_what_was_counted() -> None:
    for end in range(len(STREAM) - 2):
        out, passage = passed([STREAM[:end]])
        assert STREAM.startswith(out)
        assert isinstance(passage.failure, StreamCut)
        assert (passage.usage is not None) == (end >= len(START) - 2)


@pytest.mark.parametrize(
    ("frame", "failure"),
    [
        (event("error", error={"type": "overloaded_error", "message": "busy"}), UpstreamFailed),
        (b"event: error\ndata: oops\n\n", UpstreamProtocolError),
    ],
)
def test_a_failure_is_taken_out_of_the_stream(frame: bytes, failure: type[Exception]) -> None:
    for stream in ([START + HELLO + frame + END], [START, HELLO, frame, END]):
        out, passage = passed(stream)
        assert out == START + HELLO
        assert type(passage.failure) is failure


def test_words_of_the_protocol_in_the_text_change_nothing() -> None:
    hostile = event("content_block_delta", index=0, delta={"type": "text_delta", "text": '"message_stop" "error"'})
    out, passage = passed([START, hostile, END, STOP])
    assert out == START + hostile + END + STOP
    assert passage.ended
    assert passage.pieces == 1


def test_an_error_instead_of_a_stream_is_a_failure_before_any_byte() -> None:
    out, passage = passed([event("error", error={"type": "api_error", "message": "boom"})])
    assert out == b""
    assert isinstance(passage.failure, UpstreamFailed)
