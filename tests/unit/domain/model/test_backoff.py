"""The waits after failures in a row."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.model.backoff import backoff_seconds


@pytest.mark.parametrize(
    ("failures", "expected"),
    [(0, 30.0), (1, 30.0), (2, 60.0), (3, 120.0), (4, 200.0), (1_000_000, 200.0)],
)
def test_each_failure_doubles_the_wait_up_to_the_longest(failures: int, expected: float) -> None:
    assert backoff_seconds(failures, first=30.0, longest=200.0) == expected


@given(st.integers(0, 10**9), st.floats(0.001, 1e6), st.floats(0.001, 1e6))
def test_waits_grow_are_finite_and_never_exceed_the_longest(failures: int, first: float, longest: float) -> None:
    wait = backoff_seconds(failures, first=first, longest=longest)
    assert wait <= backoff_seconds(failures + 1, first=first, longest=longest) <= longest
    assert math.isfinite(backoff_seconds(failures, first=first))
