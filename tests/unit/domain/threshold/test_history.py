"""The merge of two series of one workload, and the age of a history."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.threshold.history import STEP_SECONDS, History, merged

POINTS = st.dictionaries(st.integers(0, 50), st.floats(0, 100), max_size=20)


def series(points: dict[int, float]) -> tuple[np.ndarray, np.ndarray]:
    times = sorted(points)
    return np.array(times, dtype=np.float64) * STEP_SECONDS, np.array([points[time] for time in times])


@given(POINTS, POINTS)
def test_at_each_step_the_first_series_counts_where_it_has_a_point(
    first: dict[int, float], second: dict[int, float]
) -> None:
    times, values = merged(series(first), series(second))

    expected = series(second | first)
    assert times.tolist() == expected[0].tolist()
    assert values.tolist() == expected[1].tolist()


def test_the_age_is_the_time_that_is_covered_not_the_distance_of_the_ends() -> None:
    month = np.array([0.0, 300.0, 30 * 86_400.0])

    assert History("Deployment/shop/cart", month, np.ones(3)).seconds == 900
