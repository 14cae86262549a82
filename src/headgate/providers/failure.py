"""How a provider's refusal is read: any error body seen in the wild, its wait, and never a key that it echoes back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from email.utils import parsedate_to_datetime
from time import time

import msgspec

from headgate.errors import (
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamFailed,
    UpstreamProtocolError,
    UpstreamRateLimited,
    UpstreamTimeout,
)
from headgate.wire.refusals import refused

MESSAGE_LIMIT = 2000
"""Characters of a provider's own words that are kept."""

HIDDEN = "****"

_KEY_SHAPES = re.compile(
    r"(?i:\b(?:bearer|basic)\s+)[\w.~+/=*-]{4,}"
    r"|\b(?:sk|pk|rk|hf|gsk|xai|pplx|nvapi|csk|fw|hg|tgp|r8|AIza)[-_][\w*.-]{6,}"
    r"|\bAIza[\w-]{20,}"
)


class Said(msgspec.Struct, frozen=True):
    """What an error body says; empty where it says nothing. `details` is OpenRouter's `metadata`, undecoded."""

    message: str = ""
    code: str = ""
    param: str | None = None
    details: msgspec.Raw = msgspec.Raw(b"{}")


class _Facts(msgspec.Struct):
    message: object = None
    type: object = None
    code: object = None
    param: object = None
    metadata: msgspec.Raw = msgspec.Raw(b"{}")


class _Body(msgspec.Struct):
    error: _Facts | str | list[object] | None = None
    message: object = None
    code: object = None
    type: object = None
    detail: object = None


_decode_body = msgspec.json.Decoder(_Body | list[_Body]).decode


def read_error(body: bytes) -> Said:
    """Reads an error body in any shape seen in the wild.

    OpenAI's and Anthropic's `{"error": {…}}`, Ollama's and HuggingFace's `{"error": "…"}`, Mistral's bare
    `{"message", "code"}`, FastAPI's `{"detail": …}`, and Google's list of any of them. Junk says nothing.
    """
    try:
        read = _decode_body(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Said()
    if isinstance(read, list):
        read = read[0] if read else _Body()
    if isinstance(read.error, _Facts):
        facts = read.error
        return Said(_text(facts.message), _code(facts), _text(facts.param) or None, facts.metadata)
    first = read.error[0] if isinstance(read.error, list) and read.error else read.error
    return Said(_text(first) or _text(read.message) or _text(read.detail), _code(read))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _code(facts: _Facts | _Body) -> str:
    code = facts.code if facts.code not in (None, "") else facts.type
    return str(code) if isinstance(code, str | int) else ""


def retry_after_s(headers: Mapping[bytes, bytes]) -> float | None:
    """The wait that a service asks for, in seconds: `retry-after-ms`, else `retry-after` as seconds or a date (RFC 9110
    §10.2.3). None where it says nothing that can be read; negative and absurd values are clamped by `UpstreamError`."""
    ms = _number(headers.get(b"retry-after-ms", b""))
    if ms is not None:
        return ms / 1000
    said = headers.get(b"retry-after", b"")
    seconds = _number(said)
    if seconds is not None:
        return seconds
    try:
        return parsedate_to_datetime(said.decode("latin-1")).timestamp() - time()
    except (ValueError, TypeError, OverflowError):
        return None


def _number(text: bytes) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if number == number else None


def scrubber(secrets: Iterable[str]) -> Callable[[str], str]:
    """A function that hides these secrets, and everything that looks like a key, in a text."""
    known = sorted({secret for secret in secrets if len(secret) >= 4}, key=len, reverse=True)
    exact = re.compile("|".join(map(re.escape, known)) or r"(?!)")

    def scrub(text: str) -> str:
        return _KEY_SHAPES.sub(HIDDEN, exact.sub(HIDDEN, text))

    return scrub


def failure_from(
    provider: str, status: int, headers: Mapping[bytes, bytes], said: Said, scrub: Callable[[str], str]
) -> UpstreamError:
    """The error family's member for an answer that is not 200, with the service's own words (scrubbed) and wait.

    402 (an account without money) and 429 with the code `insufficient_quota` are `UpstreamRateLimited` whose
    `code_said` is `insufficient_quota`: this account should rest; any other 429 is a matter of time.
    """
    message = scrub(said.message)[:MESSAGE_LIMIT]
    text = f"{provider}: {message}" if message else f"{provider} answered {status}"
    code = scrub(said.code)[:100] or None
    wait = retry_after_s(headers)
    if status in (401, 403):
        return UpstreamAuthFailed(f"{provider} refused the gateway's credential", upstream_status=status)
    if status == 402 or (status == 429 and "insufficient_quota" in said.code):
        return UpstreamRateLimited(text, code="insufficient_quota", upstream_status=status, retry_after_s=wait)
    if status == 429:
        return UpstreamRateLimited(text, upstream_status=status, retry_after_s=wait)
    if status == 408:
        return UpstreamTimeout(text, upstream_status=status, retry_after_s=wait)
    if 400 <= status < 500:
        param = scrub(said.param)[:200] if said.param else None
        return refused(text, param=param, code=code, status=status)
    if status >= 500:
        return UpstreamFailed(text, upstream_status=status, retry_after_s=wait)
    return UpstreamProtocolError(f"{provider} answered {status}, which is no answer to a call", upstream_status=status)
