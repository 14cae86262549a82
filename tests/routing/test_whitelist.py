"""What a whitelist lets through."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from headgate.errors import ModelNotAllowed, ModelNotFound
from headgate.routing.catalogue import Catalogue
from headgate.routing.plan import plan
from headgate.routing.routes import NO_ROUTES, Leg, route_of
from headgate.routing.whitelist import Everything, Only
from headgate.types import Allowed, ModelCard, Plan, Target

PROVIDERS = ("openai", "openrouter", "ollama")


def only(*rows: tuple[str, str]) -> Only:
    return Only([Allowed(id, provider) for id, provider in rows], PROVIDERS)


@pytest.mark.parametrize(
    ("row", "target", "allowed"),
    [
        (("gpt-4o", "openai"), Target("openai", "gpt-4o"), True),
        (("gpt-4o", "openai"), Target("openrouter", "gpt-4o"), False),
        (("gpt-4o", "openai"), Target("openai", "gpt-4o-mini"), False),
        (("openai/gpt-4o", "openrouter"), Target("openrouter", "openai/gpt-4o"), True),
        (("openai/gpt-4o", "openrouter"), Target("openai", "gpt-4o"), False),
        (("openai/gpt-4o", "openai"), Target("openrouter", "openai/gpt-4o"), True),
        (("openai/gpt-4o", "openai"), Target("openai", "gpt-4o"), True),
        (("meta/llama-3", "meta"), Target("openrouter", "meta/llama-3"), True),
        (("meta/llama-3", ""), Target("ollama", "meta/llama-3"), True),
        (("meta/llama-3", "meta"), Target("openrouter", "meta/llama-3:free"), False),
        (("llama2", "ollama"), Target("ollama", "llama2:latest"), True),
        (("llama2:latest", "ollama"), Target("ollama", "llama2"), True),
        (("llama2", "ollama"), Target("ollama", "llama2:7b"), False),
    ],
)
def test_a_row_allows_its_model_at_its_provider(row: tuple[str, str], target: Target, allowed: bool) -> None:
    assert only(row).allows("an-alias", target) == allowed


def test_a_row_may_name_what_is_asked_for() -> None:
    assert only(("fast", "openai")).allows("fast", Target("openai", "gpt-4o-mini"))
    assert not only(("fast", "openai")).allows("fast", Target("openrouter", "x"))
    assert not only(("fast", "openai")).allows("faster", Target("openai", "gpt-4o-mini"))


def test_targets_that_are_not_allowed_are_passed_over() -> None:
    targets = (Target("openai", "a"), Target("openrouter", "b"), Target("ollama", "c"))
    judged = only(("b", "openrouter"), ("c", "ollama")).allowed(Plan("sturdy", targets, "alias"))
    assert judged == Plan("sturdy", targets[1:], "alias")


def test_a_plan_that_is_allowed_whole_is_the_same_plan() -> None:
    found = Plan("a", (Target("openai", "a"),), "prefix")
    assert only(("a", "openai")).allowed(found) is found
    assert Everything().allowed(found) is found


def test_an_empty_whitelist_that_was_set_allows_nothing() -> None:
    with pytest.raises(ModelNotAllowed, match="whitelist") as failed:
        only().allowed(Plan("a", (Target("openai", "a"),), "prefix"))
    assert (failed.value.status, failed.value.code_said, failed.value.param) == (404, "model_not_found", "model")


@pytest.fixture
def catalogue() -> Catalogue:
    known = Catalogue(PROVIDERS, {"fast": ("openai/gpt-4o-mini",)}, (), {})
    known.learn("openrouter", [ModelCard(id=id, provider="openrouter") for id in ("meta/llama-3", "meta/llama-4")])
    known.learn("ollama", [ModelCard(id="llama2:latest", provider="ollama")])
    known.restrict(only(("meta/llama-3", "meta"), ("llama2", "ollama")))
    return known


def test_a_restricted_catalogue_shows_what_may_be_called(catalogue: Catalogue) -> None:
    assert [card.id for card in catalogue.cards()] == ["llama2:latest", "meta/llama-3"]
    assert [card.id for card in catalogue.complete()] == ["fast", "llama2:latest", "meta/llama-3", "meta/llama-4"]
    assert catalogue.card("meta/llama-4") is None
    assert catalogue.card("fast") is None
    assert catalogue.card("llama2") is not None


def test_a_plan_is_made_for_what_may_be_called_alone(catalogue: Catalogue) -> None:
    assert plan(catalogue, NO_ROUTES, "llama2").targets == (Target("ollama", "llama2:latest"),)
    for name in ("fast", "openai/gpt-4o-mini", "meta/llama-4", "openrouter/meta/llama-4"):
        with pytest.raises(ModelNotAllowed):
            plan(catalogue, NO_ROUTES, name)


def test_near_names_are_names_that_may_be_called(catalogue: Catalogue) -> None:
    with pytest.raises(ModelNotFound) as failed:
        plan(catalogue, NO_ROUTES, "meta/llama-5")
    assert "`meta/llama-3`" in failed.value.message
    assert "llama-4" not in failed.value.message


def test_a_restriction_is_lifted_by_another(catalogue: Catalogue) -> None:
    catalogue.restrict(Everything())
    assert plan(catalogue, NO_ROUTES, "fast").targets == (Target("openai", "gpt-4o-mini"),)
    assert len(catalogue.cards()) == 4


def test_a_route_leads_nowhere_that_is_not_allowed_and_neither_do_its_fallbacks() -> None:
    here, there, elsewhere = (Target("openai", name) for name in ("here", "there", "elsewhere"))
    beyond = route_of("beyond", [Leg(elsewhere, ("default",)), Leg(here, ("default",))], "weighted")
    nowhere = route_of("nowhere", [Leg(elsewhere, ("default",))], "weighted")
    tiers = [Leg(here, ("default",)), Leg(there, ("default",), priority=1), Leg(elsewhere, ("default",), priority=2)]
    route = replace(route_of("chat", tiers, "weighted"), instead={"too_long": beyond, "filtered": nowhere})
    whitelist = Only([Allowed("here", "openai"), Allowed("there", "openai")], ["openai"])
    plan = whitelist.allowed(Plan("chat", route.targets, "route", route))
    assert plan.targets == plan.route.targets == (here, there)
    assert [[way.target for way in tier] for tier in plan.route.tiers] == [[here], [there]]
    assert {code: other.targets for code, other in plan.route.instead.items()} == {"too_long": (here,)}
