"""How the strategies spread thousands of requests. Seeds are printed by hypothesis where one fails."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.routing.strategies import STRATEGIES
from headgate.routing.turns import turns
from headgate.types import Route, Target
from tests.routing.scenes import Scene, never, route

SEEDS = st.integers(0, 2**32)
WEIGHTS = st.lists(st.integers(1, 9).map(float), min_size=2, max_size=20)
A, B, C = (Target("p", name) for name in "abc")


def spread(scene: Scene, to: Route, requests: int) -> Counter[Target]:
    return Counter(scene.serve(to) for _ in range(requests))


@given(SEEDS, WEIGHTS)
@settings(max_examples=20, deadline=None)
def test_weighted_follows_the_weights(seed: int, weights: list[float]) -> None:
    to = route("weighted", *weights)
    found = spread(Scene(seed), to, 4000)
    for target, weight in zip(to.targets, weights, strict=True):
        expected = 4000 * weight / sum(weights)
        assert abs(found[target] - expected) < 5 * expected**0.5 + 5


@given(st.lists(st.integers(1, 9).map(float), min_size=2, max_size=8))
@settings(deadline=None)
def test_round_robin_is_exact_and_even(weights: list[float]) -> None:
    to, scene = route("round_robin", *weights), Scene()
    total = int(sum(weights))
    order = [scene.serve(to) for _ in range(total * 3)]
    for target, weight in zip(to.targets, weights, strict=True):
        for start in range(0, total * 3, total):
            assert order[start : start + total].count(target) == weight


def test_round_robin_does_not_serve_one_target_in_a_bunch() -> None:
    to, scene = route("round_robin", 5, 1, 1), Scene()
    assert "".join(scene.serve(to).model for _ in range(7)) == "aabacaa"


def test_round_robin_takes_turns_where_nothing_has_a_weight() -> None:
    to, scene = route("round_robin", 0, 0, 0), Scene()
    assert "".join(scene.serve(to).model for _ in range(6)) == "abcabc"


def test_a_weight_of_nothing_is_for_when_nothing_else_is_left() -> None:
    for strategy in ("weighted", "round_robin", "least_busy", "sticky"):
        to, scene = route(strategy, 0, 1), Scene()
        assert set(spread(scene, to, 200)) == {B}, strategy
        scene.fail(B, 5)
        assert set(spread(scene, to, 200)) == {A}, strategy


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_least_busy_keeps_the_loads_level(seed: int) -> None:
    to, scene, random = route("least_busy", 1, 1, 1, 1), Scene(seed), Random(seed)
    open_: list[tuple[object, Target]] = []
    for _ in range(2000):
        mine = turns(scene.traffic, to.targets, to, "")
        target = mine.next(never)
        assert target is not None
        loads = Counter(where for _, where in open_)
        assert loads[target] == min(loads[each] for each in to.targets)
        mine.began(target)
        open_.append((mine, target))
        assert scene.traffic.conditions[target].busy == loads[target] + 1
        while len(open_) > 20:
            left, where = open_.pop(random.randrange(len(open_)))
            left.ended(where, None, whole=True)  # type: ignore[attr-defined]


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_fastest_prefers_the_fast_and_still_measures_the_slow(seed: int) -> None:
    to, scene = route("fastest", 1, 1, 1), Scene(seed)
    speed = {A: 0.05, B: 0.4, C: 0.5}
    found: Counter[Target] = Counter()
    for _ in range(3000):
        target = scene.first(to)
        scene.traffic.conditions[target].measure(speed[target], scene.clock())
        scene.clock.pass_(0.02)
        found[target] += 1
    assert found[A] > found[B] > 0
    assert found[A] > 1500


def test_fastest_notices_at_once_that_a_target_became_slow() -> None:
    to, scene = route("fastest", 1, 1), Scene()
    for target in (A, B):
        scene.traffic.conditions[target].measure(0.1 if target == A else 0.2, scene.clock())
    assert {scene.first(to) for _ in range(50)} == {A}
    scene.traffic.conditions[A].measure(3.0, scene.clock())
    assert {scene.first(to) for _ in range(50)} == {B}
    scene.clock.pass_(60)
    scene.traffic.conditions[B].measure(0.2, scene.clock())
    assert {scene.first(to) for _ in range(50)} == {A}, "what is long ago does not count for ever"


def test_fastest_does_not_flood_a_target_that_has_never_answered() -> None:
    to, scene = route("fastest", 1, 1), Scene()
    scene.traffic.conditions[A].measure(0.2, scene.clock())
    scene.traffic.conditions[B].busy = 1
    assert {scene.first(to) for _ in range(50)} == {A}


def test_cheapest_takes_the_lowest_price_and_trusts_no_unknown_one() -> None:
    prices: dict[Target, float | None] = {A: None, B: 0.5, C: 0.25}
    scene, to = Scene(price=lambda target: prices[target]), route("cheapest", 1, 1, 1)
    assert set(spread(scene, to, 50)) == {C}
    prices[B] = 0.1
    assert scene.first(to) == C, "prices are asked for once a minute"
    scene.clock.pass_(60)
    assert scene.first(to) == B
    scene.fail(B, 5)
    scene.fail(C, 5)
    assert scene.first(to) == A


def test_sticky_keeps_a_conversation_as_long_as_its_prompt_is_cached() -> None:
    to, scene = route("sticky", 1, 1, 1), Scene()
    first = {f"c{number}": scene.serve(to, f"c{number}") for number in range(300)}
    assert len(set(first.values())) == 3
    for conversation, target in first.items():
        assert scene.serve(to, conversation) == target
    moved = first["c0"]
    scene.fail(moved, 5)
    elsewhere = scene.serve(to, "c0")
    assert elsewhere != moved
    scene.traffic.forget()
    scene.clock.pass_(299)
    assert scene.serve(to, "c0") == elsewhere, "its prompt is cached there by now"
    scene.clock.pass_(299)
    assert scene.serve(to, "c0") == elsewhere, "each use begins the time anew"
    scene.clock.pass_(300)
    assert scene.serve(to, "c0") == moved


def test_every_process_draws_the_same_target_for_a_conversation() -> None:
    to = route("sticky", 1, 2, 3)
    one, other = Scene(1), Scene(2)
    assert [one.first(to, f"c{n}") for n in range(100)] == [other.first(to, f"c{n}") for n in range(100)]


def test_sticky_without_a_conversation_is_weighted() -> None:
    found = spread(Scene(), route("sticky", 3, 1), 4000)
    assert 2800 < found[A] < 3200


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_priorities_come_first_whatever_the_strategy(strategy: str) -> None:
    to, scene = route(strategy, 1, 1, 1, 1, priorities=[1, 0, 1, 0]), Scene()
    assert {target.model for target in spread(scene, to, 100)} <= {"b", "d"}
    for model in "bd":
        scene.fail(Target("p", model), 5)
    assert {target.model for target in spread(scene, to, 100)} <= {"a", "c"}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_asking_for_reasons_changes_nothing(strategy: str) -> None:
    to = route(strategy, 3, 2, 1)
    plain, asked = Scene(7), Scene(7)
    order = []
    for _ in range(50):
        for way in to.tiers[0]:
            chooser = asked.traffic.strategy(to)
            assert chooser.reason(way)
            chooser.rank(way)
        order.append(asked.serve(to))
    assert order == [plain.serve(to) for _ in range(50)]
