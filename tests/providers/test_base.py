from __future__ import annotations

import pytest

from headgate.config import ProviderSettings
from headgate.errors import ModelNotFound, ProviderNotConfigured, UpstreamProtocolError
from headgate.providers.base import Provider, epoch_s
from headgate.types import Secret

from .configured import KEY, configured, fields, plain


class Acme(Provider):
    name = "acme"
    base_url = "https://api.acme.test/v1"
    base_env = ("ACME_BASE_URL",)
    key_env = ("ACME_API_KEY", "ACME_TOKEN")
    paths = {"chat": "/chat/completions", "features": "/models/{model}/features"}  # noqa: RUF012
    models_path = "/models"
    known_models = ("acme-1",)
    renames = {"max_completion_tokens": "max_tokens"}  # noqa: RUF012
    drops = frozenset({"logit_bias"})


def test_the_settings_replace_name_and_address_and_a_trailing_slash_is_one_too_many() -> None:
    acme = configured(Acme, name="acme-eu", base_url="https://eu.acme.test/v1/")
    assert acme.name == "acme-eu"
    assert acme.url("chat", "m") == "https://eu.acme.test/v1/chat/completions"
    assert acme.models_url == "https://eu.acme.test/v1/models"
    assert configured(Acme).url("chat", "m") == "https://api.acme.test/v1/chat/completions"


def test_a_version_in_the_address_is_not_said_twice() -> None:
    class Versioned(Acme):
        paths = {"chat": "/v1/chat/completions"}  # noqa: RUF012

    for base in ("http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/"):
        assert configured(Versioned, base_url=base).url("chat", "m") == "http://h:1/v1/chat/completions"


def test_a_model_in_a_path_is_encoded_and_cannot_leave_it() -> None:
    acme = configured(Acme)
    assert acme.url("features", "org/a b?x#y%2e") == "https://api.acme.test/v1/models/org/a%20b%3Fx%23y%252e/features"
    for name in ("../secrets", "a/../../b", "a//b", "", ".", "a/./b", "/a"):
        with pytest.raises(ModelNotFound) as refused:
            acme.url("features", name)
        assert refused.value.param == "model"


def test_the_settings_restrict_the_wires() -> None:
    assert configured(Acme).wires == ("chat", "features")
    assert configured(Acme, wires=("features", "unheard-of")).wires == ("features",)


def test_the_settings_headers_are_added_lower_case_and_win_over_our_own() -> None:
    acme = configured(Acme, headers={"X-Team": "blue", "Authorization": "Token other"})
    assert dict(acme.headers(Secret(KEY))) == {b"authorization": b"Token other", b"x-team": b"blue"}
    assert len(acme.headers(Secret(KEY))) == 2
    assert configured(Acme).headers(Secret(KEY)) == [(b"authorization", b"Bearer " + KEY.encode())]
    assert configured(Acme).headers(None) == []


def test_a_field_is_renamed_unless_its_new_name_is_there_and_dropped_fields_are_named() -> None:
    acme = configured(Acme)
    body = fields(model="m", max_completion_tokens=5, logit_bias={"1": 2})
    assert acme.adjust("chat", "m", body) == ("logit_bias",)
    assert plain(body) == {"model": "m", "max_tokens": 5}
    both = fields(max_completion_tokens=5, max_tokens=7)
    assert acme.adjust("chat", "m", both) == ()
    assert plain(both) == {"max_tokens": 7}


def test_a_missing_key_is_named_by_the_variable_of_the_settings_or_the_first_of_the_class() -> None:
    with pytest.raises(ProviderNotConfigured, match="ACME_API_KEY"):
        configured(Acme).require(None)
    with pytest.raises(ProviderNotConfigured, match="EU_KEY"):
        configured(Acme, key_env="EU_KEY").require(Secret(""))
    configured(Acme).require(Secret(KEY))


def test_a_missing_address_is_named_by_its_variable() -> None:
    class Homeless(Acme):
        base_url = ""

    with pytest.raises(ProviderNotConfigured, match="ACME_BASE_URL"):
        configured(Homeless).require(Secret(KEY))


def test_a_model_list_is_read_and_junk_is_a_failure_of_the_provider() -> None:
    acme = configured(Acme, name="acme-eu")
    cards = acme.models(b'{"object":"list","data":[{"id":"a","created":1700000000.0},{"id":"b","created":null}]}')
    assert [(card.id, card.provider, card.created) for card in cards] == [
        ("a", "acme-eu", 1700000000),
        ("b", "acme-eu", 0),
    ]
    for junk in (b"", b"[]", b"<html>", b'{"data":{}}', b'{"data":[{}]}', b'{"data":["\xff"]}', b"[" * 100_000):
        with pytest.raises(UpstreamProtocolError, match="acme-eu"):
            acme.models(junk)


@pytest.mark.parametrize(
    ("facts", "window"),
    [
        ('"context_length":1000', 1000),
        ('"context_window":2000,"max_completion_tokens":5', 2000),
        ('"max_context_length":3000', 3000),
        ('"max_model_len":4000', 4000),
        ('"context_length":null,"max_model_len":4000', 4000),
        ('"context_length":0', None),
        ('"context_length":"many"', None),
        ('"context_length":true', None),
    ],
)
def test_a_context_length_is_read_under_every_name(facts: str, window: int | None) -> None:
    (card,) = configured(Acme).models(f'{{"data":[{{"id":"a",{facts}}}]}}'.encode())
    assert card.context_length == window


def test_who_misses_a_key_is_not_ready() -> None:
    assert not configured(Acme, key=None).ready
    assert configured(Acme).ready


def test_models_of_the_settings_are_there_without_asking() -> None:
    assert [card.id for card in configured(Acme).cards()] == ["acme-1"]
    assert [card.id for card in configured(Acme, models=("x", "y")).cards()] == ["x", "y"]


def test_a_secret_appears_in_no_repr() -> None:
    acme = Acme(ProviderSettings("acme", "acme", "", key=Secret(KEY)))
    assert KEY not in repr(acme)
    assert KEY not in repr(acme.settings)


def test_times_are_read_with_any_precision_and_junk_is_zero() -> None:
    assert epoch_s("2023-11-04T14:56:49.277302595-07:00") == 1699135009
    assert epoch_s("2025-05-14T00:00:00Z") == 1747180800
    assert epoch_s("yesterday") == 0
