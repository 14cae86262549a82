"""Routes as they are laid out from the settings."""

from __future__ import annotations

from headgate.config import ProviderSettings
from headgate.config.routes import RouteSettings, RouteTarget
from headgate.routing.routes import Routes, routes_of
from headgate.types import Secret, Target

PROVIDERS = {
    "one": ProviderSettings("one", "compatible", "", key=Secret("k")),
    "two": ProviderSettings("two", "compatible", "", credentials={"blue": Secret("b"), "green": Secret("g")}),
}


def made(**routes: RouteSettings) -> Routes:
    return routes_of(routes, PROVIDERS)


def test_targets_stand_in_tiers_by_priority_and_number_as_written() -> None:
    route = made(
        r=RouteSettings(
            (RouteTarget("one", "late", priority=2), RouteTarget("one", "a", 3.0), "one/b"), strategy="weighted"
        )
    ).named["r"]
    assert [[(way.target.model, way.weight, way.number) for way in tier] for tier in route.tiers] == [
        [("a", 3.0, 0), ("b", 1.0, 1)],
        [("late", 1.0, 2)],
    ]
    assert [target.model for target in route.targets] == ["a", "b", "late"]


def test_under_priority_each_target_is_a_tier_in_the_written_order() -> None:
    route = made(r=RouteSettings(("one/b", "one/a", RouteTarget("one", "c", priority=1)))).named["r"]
    assert [[way.target.model for way in tier] for tier in route.tiers] == [["b"], ["a"], ["c"]]


def test_a_target_without_a_credential_stands_for_all_that_its_provider_has() -> None:
    route = made(r=RouteSettings((RouteTarget("two", "m", 3.0), RouteTarget("two", "n", credential="green")))).named[
        "r"
    ]
    assert [[(way.target, way.weight) for way in tier] for tier in route.tiers] == [
        [(Target("two", "m", "blue"), 1.5), (Target("two", "m", "green"), 1.5)],
        [(Target("two", "n", "green"), 1.0)],
    ]


def test_fallbacks_are_routes_themselves_by_the_code_of_the_refusal() -> None:
    routes = made(
        a=RouteSettings(("one/a",), context_length="b", content_filter="c"),
        b=RouteSettings(("one/b",), content_filter="c"),
        c=RouteSettings(("one/c",)),
    )
    a, b, c = (routes.named[name] for name in "abc")
    assert a.instead == {"context_length_exceeded": b, "content_filter": c}
    assert b.instead == {"content_filter": c}
    assert not c.instead


def test_a_name_without_a_route_leads_to_all_credentials_in_turn() -> None:
    routes = made()
    plain = routes.plan("m", (Target("one", "m"),), "prefix")
    assert (plain.targets, plain.route.name) == ((Target("one", "m"),), "")
    several = routes.plan("m", (Target("two", "m"),), "prefix")
    assert several.targets == (Target("two", "m", "blue"), Target("two", "m", "green"))
    assert several.route.name == routes.plan("n", (Target("two", "n"),), "prefix").route.name, "all take turns together"


def test_several_targets_without_a_route_are_taken_in_their_order() -> None:
    plan = made().plan("alias", (Target("two", "m"), Target("one", "n")), "alias")
    assert [[way.target for way in tier] for tier in plan.route.tiers] == [
        [Target("two", "m", "blue"), Target("two", "m", "green")],
        [Target("one", "n")],
    ]
