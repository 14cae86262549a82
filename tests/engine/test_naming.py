"""What an answer's field `model` says."""

from __future__ import annotations

from headgate.engine.naming import as_asked, as_served

WHOLE = b'{"id":"1","model":"gpt-4o-2024","choices":[{"message":{"content":"\\"model\\":\\"gpt-4o-2024\\""}}]}'


def test_the_served_name_stays_byte_for_byte() -> None:
    assert as_served(WHOLE, "gpt-4o-2024", "fast") is WHOLE


def test_the_asked_name_replaces_fields_and_never_text() -> None:
    renamed = as_asked(WHOLE, "gpt-4o-2024", "fast")
    assert renamed == WHOLE.replace(b'"model":"gpt-4o-2024","choices"', b'"model":"fast","choices"')


def test_every_event_of_a_piece_is_renamed_whatever_its_spacing() -> None:
    piece = b'data: {"model":"m"}\n\ndata: {"model": "m"}\n\n'
    assert as_asked(piece, "m", 'a"b') == b'data: {"model":"a\\"b"}\n\ndata: {"model": "a\\"b"}\n\n'
