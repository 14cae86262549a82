"""How long a target is left alone before it is asked again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.engine.failover import pause_s
from headgate.errors import NotConnected, UpstreamError, UpstreamFailed


@given(st.integers(1, 3), st.sampled_from([500, 502, 504, 0]))
def test_a_failure_is_followed_by_full_jitter_from_50_ms(attempts: int, status: int) -> None:
    assert 0 <= pause_s(UpstreamFailed("x", upstream_status=status), attempts) <= 0.05 * attempts


@given(st.integers(1, 3), st.sampled_from([503, 529]))
def test_overload_is_followed_by_up_to_a_second(attempts: int, status: int) -> None:
    assert 0 <= pause_s(UpstreamFailed("x", upstream_status=status), attempts) <= attempts


@pytest.mark.parametrize(
    ("error", "most"),
    [
        (UpstreamFailed("x", upstream_status=529), 1.0),
        (UpstreamFailed("x", upstream_status=500), 0.05),
        (NotConnected("x"), 0.05),
    ],
)
def test_the_whole_range_is_used(error: UpstreamError, most: float) -> None:
    pauses = [pause_s(error, 1) for _ in range(500)]
    assert min(pauses) < most * 0.1
    assert most * 0.9 < max(pauses) <= most


@pytest.mark.parametrize(("wished", "given_"), [(0.0, 0.0), (2.0, 2.0), (3600.0, 5.0), (-3.0, 0.0)])
def test_a_wish_is_granted_within_reason(wished: float, given_: float) -> None:
    assert pause_s(UpstreamFailed("x", upstream_status=503, retry_after_s=wished), 1) == given_
