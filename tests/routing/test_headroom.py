"""What providers say of their counters, in every form seen."""

from __future__ import annotations

import pytest

from headgate.routing.headroom import LOW, low_for_s, reset_s

NOW = 1_800_000_000.0


def openai(remaining: str, limit: str = "1000", reset: str = "6s") -> dict[bytes, bytes]:
    return {
        b"x-ratelimit-limit-requests": limit.encode(),
        b"x-ratelimit-remaining-requests": remaining.encode(),
        b"x-ratelimit-reset-requests": reset.encode(),
    }


def test_nothing_said_is_enough() -> None:
    assert low_for_s({b"content-type": b"application/json"}, NOW) == 0


@pytest.mark.parametrize(
    ("remaining", "limit", "low"),
    [
        ("1000", "1000", 0),
        ("50", "1000", 0),
        ("49", "1000", 6),
        ("0", "1000", 6),
        ("0", "", 6),
        ("1", "", 0),
        ("x", "9", 0),
    ],
)
def test_little_is_less_than_a_twentieth_of_the_limit(remaining: str, limit: str, low: float) -> None:
    assert LOW == 0.05
    assert low_for_s(openai(remaining, limit), NOW) == low


def test_the_scarcest_counter_decides() -> None:
    headers = openai("999") | {
        b"x-ratelimit-limit-tokens": b"100",
        b"x-ratelimit-remaining-tokens": b"1",
        b"x-ratelimit-reset-tokens": b"20ms",
    }
    assert low_for_s(headers, NOW) == 0.1
    assert low_for_s(headers | openai("0", reset="30s"), NOW) == 30


def test_anthropics_names_are_read_too() -> None:
    headers = {
        b"anthropic-ratelimit-requests-limit": b"50",
        b"anthropic-ratelimit-requests-remaining": b"0",
        b"anthropic-ratelimit-requests-reset": b"2027-01-15T08:00:07Z",
    }
    assert low_for_s(headers, NOW) == 7


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (b"6m0s", 360),
        (b"1h0m1s", 3601),
        (b"1.5s", 1.5),
        (b"20ms", 0.02),
        (b"12", 12),
        (b"1800000009", 9),
        (b"1800000009000", 9),
        (b"2027-01-15T08:00:07Z", 7),
        (b"2027-01-15T08:00:07+00:00", 7),
        (b"soon", 5),
        (b"", 5),
        (b"-4", -4),
    ],
)
def test_a_reset_is_read_in_every_form(said: bytes, seconds: float) -> None:
    assert reset_s(said, NOW) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "reset", ["99999999999999999999", "inf", "nan", "-5", "9999-12-31T23:59:59Z", "99999h", "\xff"]
)
def test_absurd_resets_are_bounded(reset: str) -> None:
    headers = openai("0") | {b"x-ratelimit-reset-requests": reset.encode("latin-1")}
    assert 0.1 <= low_for_s(headers, NOW) <= 60
