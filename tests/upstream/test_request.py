"""The bytes of a request."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.errors import UpstreamProtocolError
from headgate.upstream.request import Place, head, opening, read_url


@pytest.mark.parametrize(
    ("url", "place", "target"),
    [
        ("https://api.openai.com/v1/chat", Place(True, "api.openai.com", 443), "/v1/chat"),
        ("http://localhost:11434", Place(False, "localhost", 11434), "/"),
        ("http://[::1]:8000/a?b=c&d", Place(False, "::1", 8000), "/a?b=c&d"),
        ("HTTP://Example.COM?x", Place(False, "example.com", 80), "/?x"),
    ],
)
def test_reads_a_url(url: str, place: Place, target: str) -> None:
    assert read_url(url) == (place, target)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://a.example/", b"a.example"),
        ("https://a.example:443/", b"a.example"),
        ("https://a.example:80/", b"a.example:80"),
        ("http://[::1]:8000/", b"[::1]:8000"),
    ],
)
def test_names_the_host(url: str, host: bytes) -> None:
    assert b"\r\nhost: " + host + b"\r\n" in opening("POST", url)[1]


def test_a_head_is_exact() -> None:
    _, start = opening("POST", "http://h/p")
    assert head(start, [(b"a", b"b"), (b"c", b"")], 2) == (
        b"POST /p HTTP/1.1\r\nhost: h\r\naccept-encoding: identity\r\na: b\r\nc: \r\ncontent-length: 2\r\n\r\n"
    )


def test_an_empty_body_has_a_length_only_where_one_is_expected() -> None:
    assert b"content-length: 0\r\n" in head(opening("POST", "http://h/")[1], [], 0)
    assert b"content-length" not in head(opening("GET", "http://h/")[1], [], 0)
    assert head(opening("GET", "http://h/")[1], [], 0).endswith(b"identity\r\n\r\n")


@given(fields=st.lists(st.tuples(st.from_regex(rb"[a-z-]{1,9}", fullmatch=True), st.binary(max_size=9)), max_size=4))
def test_no_value_makes_a_line(fields: list[tuple[bytes, bytes]]) -> None:
    fields = [(b"x-" + name, value) for name, value in fields]
    try:
        sent = head(b"POST / HTTP/1.1\r\n", fields, 1)
    except UpstreamProtocolError:
        assert any(byte in value for _, value in fields for byte in (b"\r", b"\n", b"\0"))
    else:
        assert sent.split(b"\r\n")[1:-3] == [name + b": " + value for name, value in fields]
