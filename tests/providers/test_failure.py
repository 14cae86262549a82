from __future__ import annotations

from email.utils import formatdate
from time import time

import pytest

from headgate.errors import (
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamFailed,
    UpstreamProtocolError,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamTimeout,
)
from headgate.providers.base import encode
from headgate.providers.compatible import Compatible
from headgate.providers.failure import MESSAGE_LIMIT, read_error, retry_after_s

from .configured import KEY, configured


def fail(status: int, body: bytes = b"", headers: dict[bytes, bytes] | None = None) -> UpstreamError:
    return configured(Compatible, name="acme").failure(status, headers or {}, body)


@pytest.mark.parametrize(
    ("body", "message", "code", "param"),
    [
        (b'{"error":{"message":"m","type":"t","code":"c","param":"p"}}', "m", "c", "p"),
        (b'{"error":{"message":"m","type":"t","code":null,"param":null}}', "m", "t", None),
        (b'{"type":"error","error":{"type":"overloaded_error","message":"m"}}', "m", "overloaded_error", None),
        (b'{"error":{"code":402,"message":"m"}}', "m", "402", None),
        (b'{"error":"m"}', "m", "", None),
        (b'{"error":["m","n"]}', "m", "", None),
        (b'{"object":"error","message":"m","type":"t","code":"1000"}', "m", "1000", None),
        (b'{"detail":"m"}', "m", "", None),
        (b'{"detail":[{"loc":["body"],"msg":"m"}]}', "", "", None),
        (b'[{"error":{"message":"m","code":429}}]', "m", "429", None),
        (b"[]", "", "", None),
        (b'{"error":{"message":{"deep":1}}}', "", "", None),
        (b"<html>502</html>", "", "", None),
        (b"\xff\xfe", "", "", None),
        (b'{"error":' * 100_000, "", "", None),
        (b"", "", "", None),
    ],
)
def test_every_shape_of_error_body_is_read(body: bytes, message: str, code: str, param: str | None) -> None:
    said = read_error(body)
    assert (said.message, said.code, said.param) == (message, code, param)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, UpstreamRefused),
        (401, UpstreamAuthFailed),
        (402, UpstreamRateLimited),
        (403, UpstreamAuthFailed),
        (404, UpstreamRefused),
        (408, UpstreamTimeout),
        (409, UpstreamRefused),
        (413, UpstreamRefused),
        (422, UpstreamRefused),
        (429, UpstreamRateLimited),
        (500, UpstreamFailed),
        (502, UpstreamFailed),
        (503, UpstreamFailed),
        (504, UpstreamFailed),
        (529, UpstreamFailed),
        (301, UpstreamProtocolError),
        (204, UpstreamProtocolError),
    ],
)
def test_every_status_has_its_place_in_the_error_family(status: int, kind: type[UpstreamError]) -> None:
    error = fail(status, b'{"error":{"message":"words"}}')
    assert type(error) is kind
    assert error.upstream_status == status
    assert error.message.startswith("acme")
    assert error.elsewhere is not (kind is UpstreamRefused)


def test_a_refused_credential_is_our_fault_and_never_a_401_for_the_caller() -> None:
    for status in (401, 403):
        error = fail(status, b'{"error":{"message":"Incorrect API key provided: sk-1234567890abcdef"}}')
        assert error.status_said == 502
        assert error.code_said == "upstream_auth_error"
        assert "sk-" not in error.message


def test_429_has_two_meanings() -> None:
    soon = fail(429, b'{"error":{"message":"slow down","code":"rate_limit_exceeded"}}', {b"retry-after": b"3"})
    assert (soon.code_said, soon.retry_after_s) == ("rate_limit_exceeded", 3)
    for body in (
        b'{"error":{"message":"pay","type":"insufficient_quota","code":"insufficient_quota"}}',
        b'{"error":{"message":"pay","type":"insufficient_quota","code":null}}',
    ):
        assert fail(429, body).code_said == "insufficient_quota"


def test_an_account_without_money_is_not_the_callers_402() -> None:
    error = fail(402, b'{"error":{"message":"Insufficient Balance"}}')
    assert (error.status_said, error.code_said) == (429, "insufficient_quota")


def test_a_refusal_passes_on_code_and_param() -> None:
    error = fail(400, b'{"error":{"message":"no such thing","code":"bad_tool","param":"tools[0]"}}')
    assert (error.status_said, error.code_said, error.param) == (400, "bad_tool", "tools[0]")
    assert error.message == "acme: no such thing"


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({b"retry-after-ms": b"1500", b"retry-after": b"9"}, 1.5),
        ({b"retry-after-ms": b"soon", b"retry-after": b"9"}, 9),
        ({b"retry-after": b"0.25"}, 0.25),
        ({b"retry-after": b"nan"}, None),
        ({b"retry-after": b"soon"}, None),
        ({b"retry-after": b""}, None),
        ({b"retry-after": b"Wed, 99 Foo 2026 00:00:00 GMT"}, None),
        ({}, None),
    ],
)
def test_a_wait_is_read_in_every_form(headers: dict[bytes, bytes], wait: float | None) -> None:
    assert retry_after_s(headers) == wait


def test_a_wait_until_a_date_is_counted_from_now() -> None:
    wait = retry_after_s({b"retry-after": formatdate(time() + 60, usegmt=True).encode()})
    assert wait is not None
    assert 55 < wait <= 60


@pytest.mark.parametrize(("said", "kept"), [(b"-5", 0), (b"1e99", 3600), (b"inf", 3600)])
def test_an_absurd_wait_is_clamped(said: bytes, kept: float) -> None:
    assert fail(429, b"", {b"retry-after": said}).retry_after_s == kept


@pytest.mark.parametrize("status", [400, 402, 404, 408, 422, 429, 500, 503])
def test_a_key_that_is_echoed_back_reaches_no_message(status: int) -> None:
    provider = configured(Compatible, headers={"x-second": "second-canary-99"})
    for secret in (KEY, "second-canary-99"):
        told = {"message": f"the key {secret} is odd", "code": f"bad_{secret}", "param": secret}
        for body in (encode({"error": told}), encode({"error": f"<{secret}>"}), encode({"detail": secret})):
            error = provider.failure(status, {}, body)
            assert secret not in f"{error.message}{error.code_said}{error.param}{error!r}{error.args}"


def test_a_key_spelled_in_escapes_is_hidden_too() -> None:
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in KEY)
    assert KEY not in fail(400, b'{"error":"%s"}' % escaped.encode()).message


@pytest.mark.parametrize(
    "text",
    [
        "sk-proj-Ab12*****wxyz",
        "Bearer abc.def-ghi",
        "hf_AbCdEfGhIj",
        "gsk_0123456789",
        "Basic dXNlcjpwYXNz",
        "xai-0123456789",
    ],
)
def test_what_looks_like_a_key_is_hidden_whosever_it_is(text: str) -> None:
    assert fail(400, encode({"error": f"got {text}, sorry"})).message == "acme: got ****, sorry"


def test_ordinary_words_are_not_hidden() -> None:
    words = "max_tokens: 5 is less than the minimum; ask-me-anything task-oriented bearer of news"
    assert fail(400, encode({"error": words})).message == f"acme: {words}"


def test_a_long_tale_is_cut() -> None:
    assert len(fail(500, encode({"error": "x" * 1_000_000})).message) < 3000


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_long_code_or_param_is_cut(status: int) -> None:
    told = {"message": "m", "code": "c" * 100_000, "param": "p" * 100_000}
    error = fail(status, encode({"error": told}))
    assert (len(error.code_said), len(error.param or "")) == (100, 200)


@pytest.mark.parametrize(("field", "limit"), [("message", MESSAGE_LIMIT), ("code", 100), ("param", 200)])
def test_words_are_scrubbed_before_they_are_cut(field: str, limit: int) -> None:
    """Cut first, and half a key would stay that nothing recognises."""
    told = {"message": "m", "code": "c", "param": "p", field: "x" * (limit - len(KEY) // 2) + KEY}
    error = fail(400, encode({"error": told}))
    assert KEY[:6] not in f"{error.message}{error.code_said}{error.param}"
