"""What a provider is: facts first, then at most five small methods, none of which touches a network."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from email.utils import parsedate_to_datetime
from time import time
from typing import ClassVar

import msgspec

from headgate.errors import (
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamFailed,
    UpstreamProtocolError,
    UpstreamRateLimited,
    UpstreamRefused,
)
from headgate.types import ModelCard, Secret
from headgate.wire.base import Fields, encode
from headgate.wire.conversation import AnyEvent, Conversation

Headers = list[tuple[bytes, bytes]]


class Provider:
    """A service that speaks one or more wires.

    Subclasses state facts. `paths` maps each wire that the service speaks to the path behind `base_url`; it is the list
    of abilities too. `{model}` in a path is replaced. `renames` and `drops` act on a request's top-level fields.
    """

    name: ClassVar[str] = ""
    base_url: ClassVar[str] = ""
    base_env: ClassVar[tuple[str, ...]] = ()
    """Environment variables that replace `base_url`."""
    key_env: ClassVar[tuple[str, ...]] = ()
    """Environment variables that hold the key, the first one being the one to name to a person."""
    key_needed: ClassVar[bool] = True
    paths: ClassVar[Mapping[str, str]] = {}
    models_path: ClassVar[str] = ""
    """Where the service lists its models; empty: nowhere."""
    renames: ClassVar[Mapping[str, str]] = {}
    drops: ClassVar[frozenset[str]] = frozenset()
    responds: ClassVar[bool] = False
    """Answers by itself through `respond`, without an upstream."""

    def headers(self, key: Secret | None) -> Headers:
        """Headers that every call to the service carries, credential included. Never the caller's own credential."""
        return [(b"authorization", b"Bearer " + key.reveal().encode())] if key else []

    def adjust(self, wire: str, model: str, fields: Fields) -> tuple[str, ...]:
        """Changes a request's fields to this service's habits; returns the names of settings that had to go."""
        for old, new in self.renames.items():
            if old in fields:
                value = fields.pop(old)
                fields.setdefault(new, value)
        dropped = tuple(name for name in fields if name in self.drops)
        for name in dropped:
            del fields[name]
        return dropped

    def failure(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> UpstreamError:
        """Reads an answer that is not 200 into the error family. `headers` have lower-case names."""
        return failure_from(self.name, status, headers, body)

    def models(self, body: bytes) -> list[ModelCard]:
        """Reads the answer of `models_path`. Raises `UpstreamProtocolError` for junk."""
        try:
            listed = msgspec.json.decode(body, type=_ModelList)
        except msgspec.DecodeError as error:
            raise UpstreamProtocolError(f"{self.name}: the model list is not readable: {error}") from None
        return [ModelCard(id=row.id, provider=self.name, created=int(row.created or 0)) for row in listed.data]

    def respond(self, conversation: Conversation) -> AsyncIterator[AnyEvent]:
        """Answers a conversation without an upstream (only where `responds`)."""
        raise NotImplementedError


class _ModelRow(msgspec.Struct):
    id: str
    created: float | None = None


class _ModelList(msgspec.Struct):
    data: list[_ModelRow]


class _ErrorFacts(msgspec.Struct):
    message: str | None = None
    type: str | None = None
    code: str | int | None = None
    param: str | None = None


class _ErrorBody(msgspec.Struct):
    error: _ErrorFacts | str | None = None
    message: str | None = None
    detail: object = None


def error_facts(body: bytes) -> tuple[str, str, str | None]:
    """The (message, code, param) of an error body in any of the shapes seen in the wild; empty strings where unsaid."""
    try:
        read = msgspec.json.decode(body, type=_ErrorBody)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "", "", None
    if isinstance(read.error, _ErrorFacts):
        code = read.error.code if read.error.code not in (None, "") else read.error.type
        return read.error.message or "", str(code or ""), read.error.param
    detail = read.detail if isinstance(read.detail, str) else ""
    return read.error or read.message or detail or "", "", None


def retry_after_s(headers: Mapping[bytes, bytes]) -> float | None:
    """The wait that a service asks for, in seconds: `retry-after-ms`, else `retry-after` as seconds or a date (RFC 9110
    §10.2.3). None where it says nothing that can be read; negative and absurd values are clamped by `UpstreamError`."""
    try:
        if (ms := headers.get(b"retry-after-ms")) is not None:
            return float(ms) / 1000
    except ValueError:
        pass
    said = headers.get(b"retry-after")
    if said is None:
        return None
    try:
        seconds = float(said)
        return seconds if seconds == seconds else None
    except ValueError:
        pass
    try:
        return parsedate_to_datetime(said.decode("latin-1")).timestamp() - time()
    except (ValueError, TypeError, OverflowError):
        return None


def failure_from(provider: str, status: int, headers: Mapping[bytes, bytes], body: bytes) -> UpstreamError:
    """The error family's member for a status, with the service's own words and wait."""
    message, code, param = error_facts(body)
    said = f"{provider}: {message[:2000]}" if message else f"{provider} answered {status}"
    wait = retry_after_s(headers)
    if status in (401, 403):
        return UpstreamAuthFailed(f"{provider} refused the gateway's credential", upstream_status=status)
    if status == 429:
        kind = "insufficient_quota" if "insufficient_quota" in code else None
        return UpstreamRateLimited(said, code=kind, upstream_status=status, retry_after_s=wait)
    if 400 <= status < 500:
        return UpstreamRefused(said, param=param, code=code or None, upstream_status=status)
    if status >= 500:
        return UpstreamFailed(said, upstream_status=status, retry_after_s=wait)
    return UpstreamProtocolError(f"{provider} answered {status}, which is no answer to a call", upstream_status=status)


__all__ = ["Fields", "Headers", "Provider", "encode", "error_facts", "failure_from", "retry_after_s"]
