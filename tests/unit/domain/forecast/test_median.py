"""The weighted median, beside its definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spillway.domain.forecast.median import weighted_median

VALUE = st.one_of(st.floats(0, 1e12), st.just(0.0), st.just(float("nan")))
WEIGHT = st.integers(1, 2**20).map(lambda part: part / 2**20)
"""Sums of these are exact, so that where two values share the weight evenly no rounding decides between them."""
COLUMN = st.lists(st.tuples(VALUE, WEIGHT), min_size=1, max_size=7)


def by_definition(column: list[tuple[float, float]]) -> float:
    known = sorted((value, weight) for value, weight in column if np.isfinite(value))
    half, below = sum(weight for _, weight in known) / 2, 0.0
    for value, weight in known:
        below += weight
        if below >= half - 1e-12:
            return value
    return float("nan")


@settings(max_examples=200, deadline=None)
@given(COLUMN)
def test_the_lower_weighted_median(column: list[tuple[float, float]]) -> None:
    found = weighted_median([np.array([value]) for value, _ in column], [weight for _, weight in column])

    np.testing.assert_allclose(found, [by_definition(column)], rtol=1e-14, atol=1e-300)


@pytest.mark.parametrize("count", [0, 8])
def test_too_many_layers_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="1 to 7 layers"):
        weighted_median([np.zeros(1)] * count, [1.0] * count)
