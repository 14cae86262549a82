"""The conformance suite over every provider that there is, and over providers that break one rule each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from headgate.errors import UpstreamError, UpstreamFailed
from headgate.providers.base import Fields, Headers, Provider
from headgate.providers.found import discover
from headgate.testing.conformance import CANARY, WIRES, ProviderConformance
from headgate.types import ModelCard, Secret
from headgate.wire.base import Wire

MODELS = ("some-model", "o3", "gpt-5", "gpt-5.1", "gpt-4o", "deepseek-reasoner", "claude-sonnet-4-5", "org/model:tag")

for _name, _class in discover().items():
    _suite = f"Test_{_name}"
    globals()[_suite] = type(_suite, (ProviderConformance,), {"provider": _class, "models": MODELS})


def test_the_suite_covers_the_six_providers_of_the_issue() -> None:
    covered = {name.removeprefix("Test_") for name in globals() if name.startswith("Test_")}
    assert {"openai", "anthropic", "deepseek", "openrouter", "huggingface", "ollama", "compatible", "echo"} <= covered


def test_the_suite_knows_every_wire() -> None:
    from headgate import house

    assert set(house.WIRES) == WIRES
    assert all(isinstance(wire, Wire) for wire in house.WIRES.values())


class Good(Provider):
    """A provider with nothing to find fault with."""

    name = "good"
    base_url = "https://good.test/v1"
    base_env = ("GOOD_BASE_URL",)
    key_env = ("GOOD_API_KEY",)
    paths: ClassVar[Mapping[str, str]] = {"chat": "/chat/completions", "features": "/models/{model}/features"}
    models_path = "/models"
    renames: ClassVar[Mapping[str, str]] = {"max_completion_tokens": "max_tokens"}
    drops: ClassVar[frozenset[str]] = frozenset({"logit_bias"})


TESTS = [name for name in dir(ProviderConformance) if name.startswith("test_")]


@pytest.mark.parametrize("test", TESTS)
def test_a_good_provider_passes(test: str) -> None:
    getattr(_suite_of(Good), test)()


def _keeps_the_key(self: Provider, key: Secret | None) -> Headers:
    secret = self.settings.key
    return [(b"authorization", secret.reveal().encode())] if secret else []


def _upper(self: Provider, key: Secret | None) -> Headers:
    return [(b"Authorization", key.reveal().encode())] if key else []


def _breaks_lines(self: Provider, key: Secret | None) -> Headers:
    return [(b"authorization", b"a\r\nb" + (key.reveal().encode() if key else b""))]


def _forgets_the_key(self: Provider, key: Secret | None) -> Headers:
    return []


def _shows_itself(self: Provider) -> str:
    assert self.settings.key
    return self.settings.key.reveal()


def _counts_up(self: Provider, wire: str, model: str, fields: Fields) -> tuple[str, ...]:
    import msgspec

    fields["seed"] = msgspec.Raw(b"%d" % (int(bytes(fields.get("seed", b"0"))) + 1))
    return ()


def _eats_the_messages(self: Provider, wire: str, model: str, fields: Fields) -> tuple[str, ...]:
    fields.pop("messages", None)
    return ()


def _renames_nothing(self: Provider, wire: str, model: str, fields: Fields) -> tuple[str, ...]:
    return ()


def _always_fails(self: Provider, status: int, headers: Mapping[bytes, bytes], body: bytes) -> UpstreamError:
    return UpstreamFailed("it failed", upstream_status=status)


def _quotes(self: Provider, status: int, headers: Mapping[bytes, bytes], body: bytes) -> UpstreamError:
    return UpstreamFailed(body.decode("latin-1"), upstream_status=status)


def _stumbles(self: Provider, status: int, headers: Mapping[bytes, bytes], body: bytes) -> UpstreamError:
    raise ValueError(body)


def _finds_none(self: Provider, body: bytes) -> list[ModelCard]:
    return []


def _anything_goes(self: Provider, wire: str, model: str) -> str:
    return self.base_url + self.paths[wire].replace("{model}", model)


def _lets_in(self: Provider, key: Secret | None) -> None:
    return None


async def _says_nothing_twice(self: Provider, conversation: object) -> Any:
    from headgate.wire.conversation import TextDelta

    yield TextDelta(text="hi")


FAULTY: list[tuple[str, dict[str, object]]] = [
    ("test_its_name_can_stand_before_a_model", {"name": "No/Name"}),
    ("test_it_says_what_it_is", {"__doc__": ""}),
    ("test_it_can_be_asked_something", {"paths": {}}),
    ("test_its_paths_are_those_of_known_wires", {"paths": {"fax": "/fax"}}),
    ("test_its_paths_are_those_of_known_wires", {"paths": {"chat": "chat"}}),
    ("test_its_variables_are_named_as_variables_are", {"key_env": ("good-key",)}),
    ("test_its_address_is_absolute", {"base_url": "good.test"}),
    ("test_a_missing_key_is_refused_by_the_name_of_its_variable", {"key_env": ()}),
    ("test_a_missing_key_is_refused_by_the_name_of_its_variable", {"require": _lets_in}),
    ("test_urls_are_under_its_address", {"url": lambda self, wire, model: "https://elsewhere.test/"}),
    ("test_no_model_name_leaves_the_path", {"url": _anything_goes}),
    ("test_headers_are_lower_case_and_clean", {"headers": _upper}),
    ("test_headers_are_lower_case_and_clean", {"headers": _breaks_lines}),
    ("test_headers_are_lower_case_and_clean", {"headers": lambda self, key: [(b"host", b"x")]}),
    ("test_headers_carry_the_key_that_they_are_given", {"headers": _forgets_the_key}),
    ("test_headers_carry_the_key_that_they_are_given", {"headers": _keeps_the_key}),
    ("test_the_key_is_nowhere_but_in_headers", {"__repr__": _shows_itself}),
    ("test_adjusting_twice_is_adjusting_once", {"adjust": _counts_up}),
    ("test_adjusting_touches_settings_and_never_what_was_said", {"adjust": _eats_the_messages}),
    ("test_its_renames_and_drops_are_applied", {"adjust": _renames_nothing}),
    ("test_every_status_has_its_place_in_the_error_family", {"failure": _always_fails}),
    ("test_a_status_that_is_no_answer_is_an_error_too", {"failure": _always_fails}),
    ("test_no_error_body_makes_it_stumble", {"failure": _stumbles}),
    ("test_a_wish_to_wait_is_heard_and_kept_within_an_hour", {"failure": _always_fails}),
    ("test_no_error_repeats_the_key", {"failure": _quotes}),
    ("test_its_model_list_is_read", {"models": _finds_none}),
    ("test_a_model_list_of_junk_is_a_protocol_error", {"models": _finds_none}),
    ("test_what_it_says_by_itself_begins_and_ends", {"responds": True, "respond": _says_nothing_twice}),
]


@pytest.mark.parametrize(("test", "fault"), FAULTY, ids=lambda value: value if isinstance(value, str) else None)
def test_a_provider_that_breaks_a_rule_fails_its_test(test: str, fault: dict[str, object]) -> None:
    bad = type("Bad", (Good,), fault)
    with pytest.raises((AssertionError, ValueError)):
        getattr(_suite_of(bad), test)()


def test_every_rule_has_a_provider_that_breaks_it() -> None:
    assert {test for test, _ in FAULTY} == set(TESTS)


def test_the_canary_is_long_enough_to_be_found() -> None:
    assert len(CANARY) == 40


def _suite_of(provider: type[Provider]) -> ProviderConformance:
    suite: ProviderConformance = type("Suite", (ProviderConformance,), {"provider": provider})()
    return suite
