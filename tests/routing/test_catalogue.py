"""What is told of one model, and by whom."""

from __future__ import annotations

from time import time_ns

import pytest

from headgate.routing.catalogue import Catalogue
from headgate.routing.plan import plan
from headgate.routing.routes import NO_ROUTES
from headgate.types import ModelCard, Target

HOUR_US = 3_600_000_000


def card(id: str, provider: str = "openrouter", **facts: object) -> ModelCard:
    return ModelCard(id=id, provider=provider, **facts)  # type: ignore[arg-type]


@pytest.fixture
def catalogue() -> Catalogue:
    told = {"openai": [card("gpt-4o", "openai", prompt_price_per_1k=9.0, source="settings")]}
    return Catalogue(["openai", "openrouter"], {"fast": ("openai/gpt-4o-mini",)}, (), told, unready=["openai"])


def test_the_settings_win_and_gaps_are_filled_in_order(catalogue: Catalogue) -> None:
    book = [card("gpt-4o", "openai", prompt_price_per_1k=1.0, completion_price_per_1k=2.0, source="book")]
    listed = [card("gpt-4o", "openai", context_length=128_000, modality="text->text", source="list", fetched_us=5)]
    catalogue.remember(listed, book)
    catalogue.learn("openai", [card("gpt-4o", "openai", created=7)])
    assert catalogue.card("gpt-4o") == ModelCard(
        id="gpt-4o",
        provider="openai",
        created=7,
        context_length=128_000,
        prompt_price_per_1k=9.0,
        completion_price_per_1k=2.0,
        modality="text->text",
        source="settings",
    )


def test_a_source_is_named_for_what_it_told(catalogue: Catalogue) -> None:
    catalogue.learn("openrouter", [card("a", source="list", fetched_us=9)])
    catalogue.remember([], [card("a", context_length=10, source="book", fetched_us=3)])
    found = catalogue.card("a")
    assert found is not None
    assert (found.source, found.fetched_us, found.context_length) == ("book", 3, 10)


def test_a_book_tells_of_models_and_has_none(catalogue: Catalogue) -> None:
    catalogue.remember([], [card("a", context_length=10), card("gpt-4o-mini", "openai", context_length=20)])
    assert catalogue.known("a") == ()
    alias = catalogue.card("fast")
    assert alias is not None
    assert (alias.id, alias.name, alias.context_length) == ("fast", "gpt-4o-mini", 20)


def test_free_is_a_price(catalogue: Catalogue) -> None:
    catalogue.learn("openrouter", [card("a", prompt_price_per_1k=0.0)])
    catalogue.remember([], [card("a", prompt_price_per_1k=1.0)])
    found = catalogue.card("a")
    assert found is not None
    assert found.prompt_price_per_1k == 0.0


@pytest.mark.parametrize(("ahead_us", "there"), [(HOUR_US, "new"), (-HOUR_US, "old")])
def test_the_newer_list_says_what_there_is(catalogue: Catalogue, ahead_us: int, there: str) -> None:
    catalogue.learn("openrouter", [card("old")])
    catalogue.remember([card("new", fetched_us=time_ns() // 1000 + ahead_us)], [])
    assert {name for name in ("old", "new") if catalogue.known(name)} == {there}


def test_what_is_stored_of_providers_that_are_gone_is_passed_over(catalogue: Catalogue) -> None:
    catalogue.remember([card("x", "gone", fetched_us=1)], [card("y", "gone")])
    assert catalogue.known("x") == ()
    assert all(row.provider != "gone" for row in catalogue.complete())


def test_what_is_remembered_no_longer_is_forgotten(catalogue: Catalogue) -> None:
    catalogue.remember([card("a", fetched_us=1)], [])
    catalogue.remember([], [])
    assert catalogue.known("a") == ()


def test_a_provider_without_a_key_gives_way_to_one_that_lists_the_whole_name(catalogue: Catalogue) -> None:
    assert plan(catalogue, NO_ROUTES, "openai/gpt-4o").targets == (Target("openai", "gpt-4o"),)
    catalogue.learn("openrouter", [card("openai/gpt-4o")])
    assert plan(catalogue, NO_ROUTES, "openai/gpt-4o").targets == (Target("openrouter", "openai/gpt-4o"),)
    assert plan(catalogue, NO_ROUTES, "openai/o3").targets == (Target("openai", "o3"),)
    ready = Catalogue(["openai", "openrouter"], {}, (), {})
    ready.learn("openrouter", [card("openai/gpt-4o")])
    assert plan(ready, NO_ROUTES, "openai/gpt-4o").targets == (Target("openai", "gpt-4o"),)


def test_every_change_of_what_is_shown_grows_the_revision(catalogue: Catalogue) -> None:
    seen = [catalogue.revision]
    catalogue.learn("openrouter", [card("a")])
    seen.append(catalogue.revision)
    catalogue.remember([card("b", fetched_us=1)], [])
    seen.append(catalogue.revision)
    catalogue.restrict(catalogue.whitelist)
    seen.append(catalogue.revision)
    assert seen == sorted(set(seen))
    assert catalogue.cards() is catalogue.cards()
