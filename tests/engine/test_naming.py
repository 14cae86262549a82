"""What an answer's field `model` says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from headgate.engine.naming import as_asked, as_served
from headgate.testing import FakeUpstream
from headgate.testing.answers import Answer, ToolCall
from headgate.testing.gateway import running
from headgate.wire.chat import CHAT
from headgate.wire.messages import MESSAGES
from headgate.wire.ollama import OLLAMA
from tests.conftest import environ_for
from tests.engine.kept import post, question

WHOLE = b'{"id":"1","model":"gpt-4o-2024","choices":[{"message":{"content":"\\"model\\":\\"gpt-4o-2024\\""}}]}'


def test_the_served_name_stays_byte_for_byte() -> None:
    assert as_served(WHOLE, "gpt-4o-2024", "fast") is WHOLE


def test_the_asked_name_replaces_fields_and_never_text() -> None:
    renamed = as_asked(WHOLE, "gpt-4o-2024", "fast")
    assert renamed == WHOLE.replace(b'"model":"gpt-4o-2024","choices"', b'"model":"fast","choices"')


def test_every_event_of_a_piece_is_renamed_whatever_its_spacing() -> None:
    piece = b'data: {"model":"m"}\n\ndata: {"model": "m"}\n\n'
    assert as_asked(piece, "m", 'a"b', CHAT.event_model) == b'data: {"model":"a\\"b"}\n\ndata: {"model": "a\\"b"}\n\n'


@pytest.mark.parametrize(
    "body",
    [
        b'{"content":[{"type":"tool_use","input":{"model":"m"}}],%b,"usage":{"model":"m"}}',
        b'{"message":{"tool_calls":[{"function":{"arguments":{"model":"m","deep":[{"model": "m"}]}}}]}, %b}',
        b'{\n  "object" : "model" , "said": "}\\"model\\":", "list": [[], "model", {"model":"m"}],\n  %b\n}',
    ],
    ids=["messages", "ollama", "pretty"],
)
@pytest.mark.parametrize("field", [b'"model":"%b"', b'"model" :\n "%b"'], ids=["compact", "spaced"])
def test_arguments_of_tools_and_fields_of_others_stay(body: bytes, field: bytes) -> None:
    assert as_asked(body % (field % b"m"), "m", "fast") == body % (field % b"fast")
    assert as_asked(body % (field % b"other"), "m", "fast") == body % (field % b"other")


def test_only_the_start_of_a_message_names_its_model() -> None:
    start = b'event: message_start\ndata: {"type":"message_start","message":{"id":"1","model":"%b","content":[]}}\n\n'
    others = (
        b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":'
        b'{"type":"tool_use","model":"m","input":{"model":"m","message":{"model":"m"}}}}\n\n'
        b'event: content_block_delta\ndata: {"type":"content_block_delta","model":"m","delta":{"model":"m"}}\n\n'
    )
    renamed = as_asked(start % b"m" + others, "m", "fast", MESSAGES.event_model)
    assert renamed == start % b"fast" + others


def test_each_line_of_a_stream_of_lines_is_a_document_of_its_own() -> None:
    lines = (
        b'{"model":"%b","message":{"tool_calls":[{"function":{"arguments":{"model":"m"}}}]}}\n'
        b'{"message":{"content":"half a brace { \\" "},"model":"%b","done":true}\n'
    )
    assert as_asked(lines % (b"m", b"m"), "m", "fast", OLLAMA.event_model) == lines % (b"fast", b"fast")


@pytest.mark.parametrize("junk", [b'}}]"m"', b'data: {"model":"m', b'"m" model', b'{"model":["m"]}'])
def test_what_is_no_answer_passes(junk: bytes) -> None:
    assert as_asked(junk, "m", "fast") == junk
    assert as_asked(junk, "m", "fast", CHAT.event_model) == junk


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_message_says_the_asked_name_and_its_tools_get_what_the_model_gave_them(
    fake: FakeUpstream, tmp_path: Path, stream: bool
) -> None:
    settings = "answer_model: asked\naliases: {claude: anthropic/claude-sonnet-4-5}\n"
    with running(tmp_path, environ_for(fake), settings) as gateway:
        served = post(gateway, question("claude", max_tokens=100), "/v1/messages").headers["x-headgate-model"]
        given = f'"model":"{served}"'
        fake.script(Answer(tool_calls=(ToolCall("ask", f"{{{given}}}"),)))
        answer = post(gateway, question("claude", stream=stream, max_tokens=100), "/v1/messages")
    assert answer.headers["x-headgate-model"] == served
    assert re.findall(r'"model": ?"claude"', answer.text) != []
    assert given in answer.text.replace('\\"', '"').replace('": "', '":"')
