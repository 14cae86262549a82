"""The order in which a name is looked for, and what an unknown one is told."""

from __future__ import annotations

from difflib import get_close_matches

import pytest

from headgate.config import Prefix
from headgate.errors import ModelNotFound
from headgate.routing.catalogue import NEAR_AMONG, NEAR_CHARS, Catalogue
from headgate.routing.plan import plan
from headgate.routing.routes import NO_ROUTES
from headgate.types import ModelCard, Target

PREFIXES = (
    Prefix("anthropic-", "anthropic", strip=True),
    Prefix("gpt-4-mine", "spare"),
    Prefix("gpt-", "openai"),
)


@pytest.fixture
def catalogue() -> Catalogue:
    known = Catalogue(
        ["openai", "anthropic", "ollama", "huggingface", "spare"],
        {"fast": ("openai/gpt-4o-mini",), "sturdy": ("anthropic/claude", "spare/org/model"), "gpt-alias": ("spare/x",)},
        tuple(sorted(PREFIXES, key=lambda row: -len(row.prefix))),
        {"spare": (ModelCard(id="configured", provider="spare"),)},
    )
    known.learn(
        "ollama", [ModelCard(id="llama2:latest", provider="ollama"), ModelCard(id="qwen:8b", provider="ollama")]
    )
    known.learn("huggingface", [ModelCard(id="meta/llama", provider="huggingface")])
    return known


@pytest.mark.parametrize(
    ("asked", "why", "targets"),
    [
        ("fast", "alias", [Target("openai", "gpt-4o-mini")]),
        ("sturdy", "alias", [Target("anthropic", "claude"), Target("spare", "org/model")]),
        ("gpt-alias", "alias", [Target("spare", "x")]),
        ("openai/o3", "provider", [Target("openai", "o3")]),
        ("spare/org/model:free", "provider", [Target("spare", "org/model:free")]),
        ("gpt-4o", "prefix", [Target("openai", "gpt-4o")]),
        ("gpt-4-mine-too", "prefix", [Target("spare", "gpt-4-mine-too")]),
        ("anthropic-claude-3", "prefix", [Target("anthropic", "claude-3")]),
        ("llama2", "catalogue", [Target("ollama", "llama2:latest")]),
        ("llama2:latest", "catalogue", [Target("ollama", "llama2:latest")]),
        ("meta/llama", "catalogue", [Target("huggingface", "meta/llama")]),
        ("configured", "catalogue", [Target("spare", "configured")]),
    ],
)
def test_a_name_is_found_by_the_first_rule_that_knows_it(
    catalogue: Catalogue, asked: str, why: str, targets: list[Target]
) -> None:
    found = plan(catalogue, NO_ROUTES, asked)
    assert (found.why, list(found.targets), found.asked) == (why, targets, asked)


def test_an_unknown_name_is_told_what_comes_near(catalogue: Catalogue) -> None:
    with pytest.raises(ModelNotFound) as failed:
        plan(catalogue, NO_ROUTES, "lama2")
    assert "`llama2`" in failed.value.message
    assert failed.value.param == "model"


@pytest.mark.parametrize("name", ["nothing/like/it", "openai/", "zzz"])
def test_a_name_that_nothing_resembles_is_not_found(catalogue: Catalogue, name: str) -> None:
    with pytest.raises(ModelNotFound):
        plan(catalogue, NO_ROUTES, name)


def test_a_new_list_replaces_the_old_one_but_not_what_was_configured(catalogue: Catalogue) -> None:
    catalogue.learn("ollama", [])
    catalogue.learn("spare", [ModelCard(id="listed", provider="spare")])
    assert catalogue.known("llama2") == ()
    assert catalogue.known("configured") == (Target("spare", "configured"),)
    assert catalogue.known("listed") == (Target("spare", "listed"),)


def test_a_name_that_two_providers_list_leads_to_both_and_is_shown_once(catalogue: Catalogue) -> None:
    catalogue.learn("spare", [ModelCard(id="qwen:8b", provider="spare")])
    assert set(catalogue.known("qwen:8b")) == {Target("ollama", "qwen:8b"), Target("spare", "qwen:8b")}
    assert [card.id for card in catalogue.cards()].count("qwen:8b") == 1


def test_the_cards_are_sorted_and_hold_the_aliases(catalogue: Catalogue) -> None:
    ids = [card.id for card in catalogue.cards()]
    assert ids == sorted(ids)
    assert {"fast", "sturdy", "configured", "llama2:latest"} <= set(ids)
    assert catalogue.card("fast") == ModelCard(id="fast", provider="openai", name="gpt-4o-mini")
    assert catalogue.card("nobody") is None


def test_a_wrong_name_is_compared_with_a_bounded_number_of_names(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[str, list[str]]] = []

    def noting(word: str, among: list[str], **options: float) -> list[str]:
        compared.append((word, among))
        return get_close_matches(word, among, n=3, cutoff=0.5)

    monkeypatch.setattr("headgate.routing.catalogue.get_close_matches", noting)
    catalogue.learn("spare", [ModelCard(id=f"aa-model-{number}", provider="spare") for number in range(5000)])
    catalogue.learn("ollama", [ModelCard(id="zz-special", provider="ollama")])
    with pytest.raises(ModelNotFound) as failed:
        plan(catalogue, NO_ROUTES, "zz-specail")
    assert "`zz-special`" in failed.value.message, "those that begin alike are compared first"
    with pytest.raises(ModelNotFound) as failed:
        plan(catalogue, NO_ROUTES, "zz" * 1_000_000)
    assert len(failed.value.message) < 500
    assert [len(among) for _, among in compared] == [NEAR_AMONG, NEAR_AMONG]
    assert max(len(word) for word, _ in compared) == NEAR_CHARS
