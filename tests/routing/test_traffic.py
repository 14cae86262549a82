"""What is held against targets, for how long, and where requests go meanwhile."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.errors import (
    NotConnected,
    StreamCut,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamFailed,
    UpstreamProtocolError,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamTimeout,
    WireNotServed,
)
from headgate.routing import traffic as rules
from headgate.routing.explained import explain
from headgate.routing.routes import NO_ROUTES, Leg, Routes, route_of
from headgate.routing.traffic import Traffic
from headgate.routing.turns import turns
from headgate.types import Plan, Route, Target
from tests.routing.scenes import Scene, always, never, route

A, B, C = (Target("p", name) for name in "abc")
KEYS = route_of("keys", [Leg(Target("p", "a"), ("blue", "green"))], "priority")
BLUE, GREEN = KEYS.targets


def walk(scene: Scene, to: Route, risk: bool = True) -> list[Target]:
    """All targets that one request would be given, each having failed without a trace."""
    mine = turns(scene.traffic, to.targets, to, "")
    given_ = []
    while (target := mine.next(always if risk else never)) is not None:
        given_.append(target)
    return given_


def test_a_request_is_given_each_target_once() -> None:
    assert walk(Scene(), route("priority", 1, 1, 1)) == [A, B, C]
    assert sorted(target.model for target in walk(Scene(), route("weighted", 1, 1, 1))) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "error", [UpstreamFailed("x"), UpstreamTimeout("x"), NotConnected("x"), UpstreamProtocolError("x"), StreamCut("x")]
)
def test_five_failures_of_any_kind_open_a_breaker(error: UpstreamError) -> None:
    scene, to = Scene(), route("priority", 1, 1)
    scene.fail(A, 4, error)
    assert scene.first(to) == A
    scene.fail(A, 1, error)
    assert scene.first(to) == B
    assert scene.failures == [(A, error)] * 5


def test_a_refusal_of_a_request_is_a_sign_of_health() -> None:
    scene = Scene()
    scene.fail(A, 4)
    scene.fail(A, 1, UpstreamRefused("no", upstream_status=400))
    scene.fail(A, 4)
    assert scene.first(route("priority", 1, 1)) == A
    assert len(scene.failures) == 8


def test_what_is_our_own_fault_is_not_held_against_a_target() -> None:
    scene, to = Scene(), route("priority", 1, 1)
    for _ in range(20):
        mine = turns(scene.traffic, to.targets, to, "")
        target = mine.next(never)
        assert target == A
        mine.began(A)
        mine.ended(A, WireNotServed("no"), whole=False)
    assert scene.traffic.conditions[A].busy == 0


def test_one_request_probes_on_time_and_an_answer_closes_the_breaker() -> None:
    scene, to = Scene(), route("priority", 1, 1)
    scene.fail(A, 5)
    scene.clock.pass_(4.99)
    assert scene.first(to) == B
    scene.clock.pass_(0.01)
    probe = turns(scene.traffic, to.targets, to, "")
    assert probe.next(never) == A
    probe.began(A)
    assert scene.first(to) == B, "one probe at a time"
    probe.answered(A, 0.1, {})
    assert scene.first(to) == A
    probe.ended(A, None, whole=True)
    assert not scene.traffic.ailing


def test_a_probe_whose_caller_left_is_no_verdict() -> None:
    scene, to = Scene(), route("priority", 1, 1)
    scene.fail(A, 5)
    scene.clock.pass_(5)
    probe = turns(scene.traffic, to.targets, to, "")
    probe.next(never)
    probe.began(A)
    probe.ended(A, None, whole=False)
    assert scene.traffic.breaker(A).state(scene.clock()) == "half_open"
    assert scene.first(to) == A


@pytest.mark.parametrize(
    ("wished", "rest"),
    [(None, 5.0), (7.0, 7.0), (0.0, 1.0), (-5.0, 1.0), (0.02, 1.0), (9e9, 600.0), (float("inf"), 600.0)],
)
def test_a_429_rests_one_credential_for_a_bounded_time(wished: float | None, rest: float) -> None:
    scene = Scene()
    scene.fail(BLUE, 1, UpstreamRateLimited("slow down", upstream_status=429, retry_after_s=wished))
    assert {scene.serve(KEYS) for _ in range(10)} == {GREEN}
    assert scene.first(route_of("other", [Leg(Target("p", "b"), ("blue",))], "priority")).credential == "blue"
    scene.clock.pass_(rest - 0.01)
    assert {scene.serve(KEYS) for _ in range(10)} == {GREEN}
    scene.clock.pass_(0.02)
    assert {scene.serve(KEYS) for _ in range(10)} == {BLUE, GREEN}


@pytest.mark.parametrize(
    ("error", "rest"),
    [
        (UpstreamAuthFailed("no", upstream_status=401), rules.REFUSED_S),
        (UpstreamAuthFailed("no", upstream_status=403), rules.REFUSED_S),
        (UpstreamRateLimited("no", code="insufficient_quota", upstream_status=402), rules.QUOTA_S),
    ],
)
def test_a_refused_credential_rests_for_every_model_of_its_provider(error: UpstreamError, rest: float) -> None:
    scene = Scene()
    scene.fail(BLUE, 1, error)
    other = route_of("other", [Leg(Target("p", "b"), ("blue", "green"))], "priority")
    for to in (KEYS, other):
        assert {scene.serve(to).credential for _ in range(10)} == {"green"}
    scene.clock.pass_(rest)
    for to in (KEYS, other):
        assert {scene.serve(to).credential for _ in range(10)} == {"blue", "green"}


def test_a_credential_that_serves_after_all_is_forgiven() -> None:
    scene, lone = Scene(), route("priority", 1)
    scene.fail(A, 1, UpstreamAuthFailed("no", upstream_status=401))
    assert not scene.traffic.calm
    scene.serve(lone)
    assert scene.traffic.calm


def test_credentials_take_turns() -> None:
    scene = Scene()
    assert Counter(scene.serve(KEYS) for _ in range(100)) == {BLUE: 50, GREEN: 50}


def test_traffic_is_steered_away_before_the_429() -> None:
    scene, to = Scene(), route("priority", 1, 1)
    low = {
        b"x-ratelimit-limit-requests": b"100",
        b"x-ratelimit-remaining-requests": b"1",
        b"x-ratelimit-reset-requests": b"9s",
    }
    mine = turns(scene.traffic, to.targets, to, "")
    target = mine.next(never)
    assert target == A
    mine.began(A)
    mine.answered(A, 0.1, low)
    mine.ended(A, None, whole=True)
    assert scene.first(to) == B
    scene.fail(B, 5)
    assert scene.first(to) == A, "near its limit is better than broken"
    scene.traffic.forget()
    assert scene.first(to) == A


def test_those_near_a_limit_stand_in_for_each_other_without_a_risk() -> None:
    scene, to = Scene(), route("priority", 1, 1)
    for target in (A, B):
        scene.traffic.heard(target, {b"x-ratelimit-remaining-requests": b"0", b"x-ratelimit-reset-requests": b"9s"})
    assert walk(scene, to, risk=False) == [A, B]


def test_all_that_was_held_against_targets_can_be_forgotten() -> None:
    scene = Scene()
    scene.fail(A, 5)
    scene.fail(B, 1, UpstreamRateLimited("x", retry_after_s=30.0))
    scene.fail(C, 1, UpstreamAuthFailed("x", upstream_status=401))
    assert [scene.traffic.standing(target)[0] for target in (A, B, C)] == ["resting"] * 3
    scene.traffic.forget()
    assert [scene.traffic.standing(target) for target in (A, B, C)] == [("closed", "")] * 3
    scene.fail(A, 4)
    assert scene.traffic.standing(A)[0] == "closed"


def test_the_low_serve_again_when_their_counter_begins_anew() -> None:
    scene, to = Scene(), route("priority", 1, 1)
    scene.traffic.heard(A, {b"x-ratelimit-remaining-requests": b"0", b"x-ratelimit-reset-requests": b"9s"})
    assert scene.first(to) == B
    scene.clock.pass_(9)
    assert scene.first(to) == A
    scene.serve(to)
    assert not scene.traffic.ailing


def test_when_nothing_is_fit_the_first_back_is_tried_and_others_only_at_a_risk() -> None:
    scene, to = Scene(), route("priority", 1, 1, 1)
    scene.fail(A, 5)
    scene.clock.pass_(2)
    scene.fail(B, 5)
    scene.fail(C, 1, UpstreamRateLimited("x", retry_after_s=1.0))
    assert walk(scene, to, risk=False) == [C]
    assert walk(scene, to) == [C, A, B]


@pytest.mark.parametrize(
    ("error", "second"),
    [
        (UpstreamFailed("it failed", upstream_status=500), "other"),
        (UpstreamTimeout("silent"), "other"),
        (UpstreamRateLimited("slow down", upstream_status=429), "p"),
        (UpstreamAuthFailed("who are you?", upstream_status=401), "p"),
    ],
)
def test_another_key_is_for_a_keys_own_trouble(error: UpstreamError, second: str) -> None:
    scene = Scene()
    legs = [Leg(Target("p", "m"), ("one", "two", "three")), Leg(Target("other", "m"), ("one",), priority=1)]
    route = route_of("r", legs, "weighted")
    mine = turns(scene.traffic, route.targets, route, "")
    first = mine.next(never)
    assert first is not None
    mine.began(first)
    mine.ended(first, error, whole=False)
    following = mine.next(never)
    assert following is not None
    assert following.provider == second
    assert following != first


def test_the_only_target_is_always_tried() -> None:
    scene, to = Scene(), route("priority", 1)
    scene.fail(A, 50)
    assert walk(scene, to) == [A]
    assert scene.serve(to) == A
    assert not scene.traffic.ailing, "it has served: all is forgotten"


@pytest.mark.parametrize("rivals", [1, 2], ids=["alone", "rivals"])
def test_only_the_probe_makes_a_breaker_wait_longer(rivals: int) -> None:
    scene, to = Scene(), route("priority", *[1.0] * rivals)
    late = turns(scene.traffic, to.targets, to, "")
    assert late.next(never) == A
    late.began(A)
    scene.fail(A, 5)
    breaker = scene.traffic.breaker(A)
    scene.clock.pass_(5)
    late.ended(A, UpstreamFailed("late", upstream_status=500), whole=False)
    assert breaker.state(scene.clock()) == "half_open"
    probe = turns(scene.traffic, to.targets, to, "")
    assert probe.next(never) == A
    probe.began(A)
    assert not breaker.admits(scene.clock())
    probe.ended(A, UpstreamFailed("again", upstream_status=500), whole=False)
    assert breaker.until == scene.clock() + 10


def test_a_probe_of_a_lone_target_whose_caller_left_lets_another_go() -> None:
    scene, to = Scene(), route("priority", 1)
    scene.fail(A, 5)
    scene.clock.pass_(5)
    probe = turns(scene.traffic, to.targets, to, "")
    probe.began(A)
    assert not scene.traffic.fit(A, scene.clock())
    probe.ended(A, None, whole=False)
    assert scene.traffic.fit(A, scene.clock())


def test_a_lone_target_that_is_well_leaves_no_trace() -> None:
    scene, to = Scene(), route("priority", 1)
    scene.serve(to)
    assert not scene.traffic.conditions
    assert not scene.traffic.ailing


def test_made_up_names_push_no_breaker_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "CONDITIONS", 50)
    scene = Scene()
    scene.fail(A, 5)
    for number in range(200):
        assert not scene.traffic.conditions[Target("p", f"made-up-{number}")].busy
    assert scene.traffic.breaker(A).state(scene.clock()) == "open"


def test_failing_made_up_names_push_nothing_out_that_is_held_against_a_route(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "CONDITIONS", 50)
    scene, to = Scene(), route("priority", 1, 1)
    scene.traffic.lead(NO_ROUTES, Routes({}, {}, frozenset(to.targets)))
    scene.fail(A, 5)
    for number in range(1000):
        scene.fail(Target("p", f"made-up-{number}"))
    assert A in scene.traffic.ailing
    assert scene.traffic.standing(A)[0] == "open"
    assert scene.first(to) == B
    assert len(scene.traffic.conditions) <= 50


def test_of_failing_made_up_names_the_oldest_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "CONDITIONS", 50)
    scene = Scene()
    made_up = [Target("p", f"made-up-{number}") for number in range(51)]
    for target in made_up:
        scene.fail(target)
    assert scene.traffic.ailing == set(scene.traffic.conditions) == set(made_up[26:])


def test_a_refused_credential_is_forgotten_when_its_time_is_over() -> None:
    scene, to = Scene(), route("priority", 1, 1)
    scene.fail(Target("gone", "x", "blue"), 1, UpstreamAuthFailed("no"))
    scene.serve(to)
    assert not scene.traffic.calm
    scene.clock.pass_(rules.REFUSED_S)
    scene.first(to)
    assert scene.traffic.calm
    scene.fail(Target("gone", "x", "blue"), 1, UpstreamAuthFailed("no"))
    scene.clock.pass_(rules.REFUSED_S)
    scene.traffic.whole(B)
    assert scene.traffic.calm


def test_made_up_names_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "CONDITIONS", 50)
    scene = Scene()
    for number in range(1000):
        scene.fail(Target("p", f"made-up-{number}"))
    assert len(scene.traffic.conditions) <= 50
    assert len(scene.traffic.ailing) <= 50


@given(
    st.integers(0, 2**32), st.sampled_from(["weighted", "round_robin", "least_busy", "fastest", "cheapest", "sticky"])
)
@settings(max_examples=30, deadline=None)
def test_one_dead_target_of_many_costs_few_tries(seed: int, strategy: str) -> None:
    """Thousands of requests, one target dead all the time: it is tried five times, then once a probe."""
    to, scene = route(strategy, *[1.0] * 5), Scene(seed)
    dead, tries = A, 0
    for number in range(2000):
        scene.clock.pass_(0.01)
        mine = turns(scene.traffic, to.targets, to, f"c{number}")
        while True:
            target = mine.next(never)
            assert target is not None
            mine.began(target)
            if target != dead:
                mine.answered(target, 0.1, {})
                mine.ended(target, None, whole=True)
                break
            tries += 1
            mine.ended(target, UpstreamFailed("dead", upstream_status=500), whole=False)
    assert tries <= 5 + 4, "20 seconds have room for probes after 5, 10 and 20 more"
    assert all(condition.busy == 0 for condition in scene.traffic.conditions.values())


def test_a_plan_is_explained_with_a_reason_for_each_place() -> None:
    scene, to = Scene(), route("weighted", 1, 3, 1, priorities=[0, 0, 1])
    plan = Plan("r", to.targets, "route", to)
    assert [(place.target, place.state, place.reason) for place in explain(plan, scene.traffic)] == [
        (B, "closed", "drawn by lot, with weight 3"),
        (A, "closed", "drawn by lot, with weight 1"),
        (C, "closed", "alone in tier 2 of 2"),
    ]
    scene.fail(B, 5)
    scene.fail(A, 1, UpstreamRateLimited("x", retry_after_s=30.0))
    found = [(place.target, place.state, place.reason) for place in explain(plan, scene.traffic)]
    assert found == [
        (C, "closed", "alone in tier 2 of 2"),
        (B, "open", "drawn by lot, with weight 3; 5 failures in a row; to be probed in 5 s"),
        (A, "resting", "drawn by lot, with weight 1; it is at its rate limit; rests for 30 s more"),
    ]
    scene.clock.pass_(6)
    assert explain(plan, scene.traffic)[0].state == "half_open"
    alone = Plan("m", (A,), "prefix")
    assert explain(alone, Traffic(lambda target: None, lambda target, error: None))[0].reason == "the only target"
