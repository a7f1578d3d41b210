"""Maxima and means over spans, beside the plain loops that they replace."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from spillway.domain.forecast.spec import Floats
from spillway.domain.forecast.window import maximum_ahead, maximum_behind, mean_behind

SERIES = st.lists(st.one_of(st.floats(0, 100), st.just(float("nan"))), max_size=40).map(
    lambda row: np.array([row], dtype=np.float64).reshape(1, -1)
)


def same(found: Floats, expected: list[float]) -> None:
    np.testing.assert_allclose(found[0], expected, rtol=1e-12)


@settings(deadline=None)
@given(SERIES, st.integers(0, 5), st.integers(1, 9))
def test_the_maximum_ahead(values: Floats, first: int, length: int) -> None:
    end, row = first + length, values[0]

    found = maximum_ahead(values, first, end)

    same(found, [row[t + first : t + end].max() if t + end <= row.size else np.nan for t in range(row.size + 1)])


@settings(deadline=None)
@given(SERIES, st.integers(1, 9))
def test_what_lies_behind(values: Floats, length: int) -> None:
    row = values[0]
    behind = [part[np.isfinite(part)] for part in (row[max(t - length, 0) : t] for t in range(row.size + 1))]

    same(maximum_behind(values, length), [part.max() if part.size else np.nan for part in behind])
    same(mean_behind(values, length), [part.mean() if part.size else np.nan for part in behind])


def test_a_mean_forgets_a_value_that_was_far_larger() -> None:
    values = np.full((1, 50), 1e-3)
    values[0, 3] = 1e15

    assert mean_behind(values, 7)[0, -1] == 1e-3
