"""The contract of `providers/base.py` as tests: every provider class must pass them, yours too.

Subclass it in a test module of yours, and pytest runs it; no network is touched:

    class TestMine(ProviderConformance):
        provider = Mine
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from functools import partial
from typing import ClassVar

import msgspec

from headgate.config import ProviderSettings
from headgate.errors import (
    HeadgateError,
    ProviderNotConfigured,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamFailed,
    UpstreamProtocolError,
    UpstreamRateLimited,
    UpstreamRefused,
)
from headgate.providers.base import Fields, Headers, Provider, encode
from headgate.types import ModelCard, Secret
from headgate.wire.conversation import AnyEvent, Conversation, Message, Started, Stopped, Text

CANARY = "canary-0123456789abcdefghijklmnopqrstuvw"
"""The key that must be seen in `headers()` and nowhere else."""

WIRES = frozenset({"chat", "completions", "embeddings", "messages", "ollama", "ollama_embed", "features"})
"""The wires that there are."""

SENDERS_OWN = {b"host", b"content-length", b"connection", b"transfer-encoding"}
"""Headers that the HTTP client adds."""

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")

ASKED: dict[str, object] = {
    "model": "some-model",
    "messages": [{"role": "user", "content": "hi"}],
    "prompt": "hi",
    "input": "hi",
    "stream": True,
    "stream_options": {"include_usage": True},
    "max_tokens": 5,
    "max_completion_tokens": 5,
    "temperature": 0.5,
    "top_p": 0.5,
    "stop": ["x"],
    "seed": 1,
    "presence_penalty": 0.5,
    "frequency_penalty": 0.5,
    "logit_bias": {},
    "logprobs": True,
    "user": "somebody",
    "tools": [],
    "a_field_of_tomorrow": {"kept": True},
}
"""A request with everything in it."""

LISTED = encode(
    {
        "object": "list",
        "data": [{"id": "some-model", "object": "model", "created": 1, "owned_by": "x", "type": "model"}],
        "models": [{"name": "some-model", "model": "some-model"}],
    }
)

JUNK = (b"", b"junk", b"{", b"{}", b"[]", b"null", b'"x"', b'{"data": 3}', b"\xff\xfe", b"[" * 100_000)
"""What a model list is not."""

REFUSALS = (
    b"",
    b"{",
    b"<html>502</html>",
    b"null",
    b"[]",
    b'"text"',
    b'{"error": null}',
    b'{"error": "text"}',
    b'{"error": {"message": 3, "code": [], "type": {}}}',
    b'{"message": "text", "detail": [{"msg": "x"}]}',
    b"\xff\xfe",
    b"[" * 100_000,
)
"""Bodies of errors as they come in the wild."""


class ProviderConformance:
    """The tests. A subclass names its `provider`, and whatever of `key`, `settings` and `model_list` differs."""

    provider: ClassVar[type[Provider]]
    model_list: ClassVar[bytes] = LISTED
    """An answer of its `models_path` that lists at least one model."""
    models: ClassVar[tuple[str, ...]] = ("some-model",)
    """Model names to try `adjust` with; name one for each habit."""

    def make(self, key: str | None = CANARY) -> Provider:
        """A configured instance."""
        name = self.provider.name
        secret = Secret(key) if key else None
        return self.provider(ProviderSettings(name=name, kind=name, base_url="https://example.test/v1", key=secret))

    def test_its_name_can_stand_before_a_model(self) -> None:
        assert NAME.fullmatch(self.provider.name), f"{self.provider.name!r} is no name: lower case, digits, - _ ."

    def test_it_says_what_it_is(self) -> None:
        assert (self.provider.__doc__ or "").strip(), "the class needs a sentence"

    def test_it_can_be_asked_something(self) -> None:
        provider = self.provider
        assert provider.paths or provider.responds or provider.embeds, "it has no `paths` and answers nothing by itself"

    def test_its_paths_are_those_of_known_wires(self) -> None:
        unknown = set(self.provider.paths) - WIRES
        assert not unknown, f"no wire is called {sorted(unknown)}; there are {sorted(WIRES)}"
        for wire, path in self.provider.paths.items():
            assert path.startswith("/"), f"the path of {wire} does not start with a slash: {path!r}"

    def test_its_variables_are_named_as_variables_are(self) -> None:
        for name in (*self.provider.key_env, *self.provider.base_env):
            assert VARIABLE.fullmatch(name), f"{name!r} is no name for an environment variable"

    def test_its_address_is_absolute(self) -> None:
        base = self.provider.base_url
        assert not base or re.match(r"https?://[^/?#@]+", base), f"{base!r} is no address"

    def test_a_missing_key_is_refused_by_the_name_of_its_variable(self) -> None:
        provider = self.make(key=None)
        if not provider.key_needed:
            provider.require(None)
            return
        assert provider.key_env, "it needs a key and names no variable for it"
        refusal = _raised(partial(provider.require, None))
        assert isinstance(refusal, ProviderNotConfigured), f"require(None) raised {refusal!r}"
        assert provider.key_env[0] in refusal.message, f"{refusal.message!r} does not name {provider.key_env[0]}"

    def test_urls_are_under_its_address(self) -> None:
        provider = self.make()
        for wire in provider.paths:
            url = provider.url(wire, "org/some-model:tag")
            assert url.startswith(provider.base_url + "/"), f"{wire}: {url} is not under {provider.base_url}"
            assert "{" not in url, f"{wire}: {url} has a gap"

    def test_no_model_name_leaves_the_path(self) -> None:
        provider = self.make()
        for wire in (wire for wire, path in provider.paths.items() if "{model}" in path):
            for model in ("../x", "a/../../x", "", "a//b"):
                refusal = _raised(partial(provider.url, wire, model))
                assert isinstance(refusal, HeadgateError), f"{wire}: the model {model!r} was let through"
            assert "?" not in provider.url(wire, "a?b#c"), f"{wire}: a model name became a query"

    def test_headers_are_lower_case_and_clean(self) -> None:
        for key in (Secret(CANARY), None):
            for name, value in self.make().headers(key):
                assert name == name.lower(), f"{name!r} is not lower-case"
                assert name not in SENDERS_OWN, f"{name!r} is the HTTP client's to add"
                assert not re.search(rb"[\r\n\0]", name + value), f"{name!r} holds a line end"

    def test_headers_carry_the_key_that_they_are_given(self) -> None:
        provider = self.make()
        shown = _shown(provider.headers(Secret(CANARY)))
        assert CANARY in shown or not provider.key_needed, "it needs a key and does not send it"
        other = _shown(provider.headers(Secret("another-key-0123")))
        assert CANARY not in other, "it sends a key that it was not given"
        assert CANARY not in _shown(provider.headers(None)), "it sends a key without being given one"

    def test_the_key_is_nowhere_but_in_headers(self) -> None:
        provider = self.make()
        places = [
            repr(provider),
            str(provider),
            repr(provider.settings),
            provider.models_url,
            *map(repr, provider.cards()),
        ]
        for wire in provider.paths:
            fields = _fields()
            dropped = provider.adjust(wire, "some-model", fields)
            places += [provider.url(wire, "some-model"), repr(_plain(fields)), repr(dropped)]
        for place in places:
            assert CANARY not in place, f"the key is in {place[:200]!r}"

    def test_adjusting_twice_is_adjusting_once(self) -> None:
        provider = self.make()
        for wire in provider.paths:
            for model in self.models:
                fields = _fields()
                provider.adjust(wire, model, fields)
                once = _plain(fields)
                again = provider.adjust(wire, model, fields)
                assert _plain(fields) == once, f"{wire}, {model}: the second time changed the fields again"
                assert not again, f"{wire}, {model}: the second time dropped {again}"

    def test_adjusting_touches_settings_and_never_what_was_said(self) -> None:
        provider = self.make()
        for wire in provider.paths:
            for model in self.models:
                fields = _fields()
                dropped = provider.adjust(wire, model, fields)
                for name in ("model", "messages", "prompt", "input", "stream"):
                    assert name in fields, f"{wire}, {model}: {name} is gone"
                for name in dropped:
                    assert name in ASKED, f"{wire}, {model}: {name} was dropped but never there"
                    assert name not in fields, f"{wire}, {model}: {name} was dropped and is still there"

    def test_its_renames_and_drops_are_applied(self) -> None:
        provider = self.make()
        for wire in provider.paths:
            for old, new in provider.renames.items():
                fields: Fields = {old: msgspec.Raw(b"1")}
                provider.adjust(wire, "some-model", fields)
                assert _plain(fields).get(new) == b"1", f"{wire}: {old} did not become {new}"
                assert old not in fields, f"{wire}: {old} is still there"
            for name in provider.drops:
                fields = {name: msgspec.Raw(b"1")}
                dropped = provider.adjust(wire, "some-model", fields)
                assert name not in fields, f"{wire}: {name} is still there"
                assert name in dropped, f"{wire}: {name} went without a word"

    def test_every_status_has_its_place_in_the_error_family(self) -> None:
        provider = self.make()
        for status in range(400, 600):
            error = provider.failure(status, {}, b"")
            expected = _family(status)
            assert isinstance(error, expected), f"{status} became {error!r}, not {expected.__name__}"
            assert error.upstream_status == status, f"{status} is kept as {error.upstream_status}"
            assert error.message, f"{status} has no message"

    def test_a_status_that_is_no_answer_is_an_error_too(self) -> None:
        for status in (101, 204, 301, 302, 307):
            error = self.make().failure(status, {b"location": b"https://elsewhere.test"}, b"")
            assert isinstance(error, UpstreamProtocolError), f"{status} became {error!r}"

    def test_no_error_body_makes_it_stumble(self) -> None:
        provider = self.make()
        for body in REFUSALS:
            for status in (400, 401, 403, 404, 429, 500, 503):
                error = provider.failure(status, {b"retry-after": b"soon"}, body)
                assert isinstance(error, UpstreamError), f"{status} with {body[:40]!r} became {error!r}"

    def test_a_wish_to_wait_is_heard_and_kept_within_an_hour(self) -> None:
        provider = self.make()
        for said, heard in ((b"7", 7.0), (b"-5", 0.0), (b"99999999999", 3600.0)):
            error = provider.failure(429, {b"retry-after": said}, b"")
            assert isinstance(error, UpstreamRateLimited)
            assert error.retry_after_s == heard, f"retry-after {said!r} was heard as {error.retry_after_s}"

    def test_no_error_repeats_the_key(self) -> None:
        provider = self.make()
        said = f"Incorrect API key provided: {CANARY}. Bearer {CANARY}"
        bodies: list[object] = [
            {"error": {"message": said, "code": CANARY, "param": CANARY, "type": CANARY}},
            {"error": said},
            {"message": said, "detail": said},
            {"error": {"message": said, "code": 403, "metadata": {"raw": said, "provider_name": CANARY}}},
            {"error": {"message": said, "metadata": {"reasons": [said]}}},
        ]
        for status in range(400, 600):
            for body in bodies:
                error = provider.failure(status, {b"www-authenticate": CANARY.encode()}, encode(body))
                shown = f"{error.message} {error.args} {error.code_said} {error.param} {error.headers}"
                assert CANARY not in shown, f"{status}: {shown[:300]}"

    def test_its_model_list_is_read(self) -> None:
        provider = self.make()
        if not provider.models_url:
            return
        cards = provider.models(self.model_list)
        assert cards, "no model was found in the list; give `model_list` an answer of the service"
        for card in cards:
            assert isinstance(card, ModelCard), f"{card!r} is no ModelCard"
            assert card.id, "a model without an id"
            assert card.provider == provider.name, f"{card.id} claims to be of {card.provider!r}"

    def test_a_model_list_of_junk_is_a_protocol_error(self) -> None:
        provider = self.make()
        if not provider.models_url:
            return
        for junk in JUNK:
            error = _raised(partial(provider.models, junk))
            assert isinstance(error, UpstreamProtocolError), f"{junk[:40]!r} was answered with {error!r}"

    def test_what_it_says_by_itself_begins_and_ends(self) -> None:
        if not self.provider.responds:
            return
        events = asyncio.run(_heard(self.make()))
        assert isinstance(events[0], Started), f"the first event is {events[0]!r}"
        assert any(isinstance(event, Stopped) for event in events), "nothing says that the answer ended"


async def _heard(provider: Provider) -> list[AnyEvent]:
    asked = Conversation(model="some-model", messages=(Message(role="user", parts=(Text("hi there"),)),))
    return [event async for event in provider.respond(asked)]


def _family(status: int) -> type[UpstreamError]:
    """Where a bare status belongs; the rest of 4xx is anything that is an upstream's error."""
    if status in (401, 403):
        return UpstreamAuthFailed
    if status == 429:
        return UpstreamRateLimited
    if status >= 500:
        return UpstreamFailed
    return UpstreamRefused if status in (400, 404, 409, 413, 422) else UpstreamError


def _fields() -> Fields:
    return {name: msgspec.Raw(encode(value)) for name, value in ASKED.items()}


def _plain(fields: Fields) -> dict[str, bytes]:
    return {name: bytes(value) for name, value in fields.items()}


def _shown(headers: Headers) -> str:
    return b"\n".join(name + b": " + value for name, value in headers).decode("latin-1")


def _raised(call: Callable[[], object]) -> Exception | None:
    try:
        call()
    except Exception as error:
        return error
    return None
