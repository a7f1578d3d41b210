"""The history of one workload folded into one day: what is capped, what is a gap, and what fails alone."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from spillway.api.common import MOST_REPLICAS
from spillway.domain.threshold.basis import Basis
from spillway.domain.threshold.history import STEP_SECONDS, Floats, History, HistoryProblem
from spillway.domain.threshold.past import past_of

DAY = 288
NAME = "Deployment/shop/cart"
TIMES = np.arange(3 * DAY) * STEP_SECONDS


def history(values: NDArray[np.floating[Any]], problem: HistoryProblem | None = None) -> History:
    return History(NAME, TIMES[: values.size].astype(np.float64), values.astype(np.float64), problem)


def all_of(value: float, days: int = 3) -> Floats:
    return np.full(days * DAY, value, dtype=np.float64)


@pytest.mark.parametrize("value", [1e12, 1e19, 1e300, float(MOST_REPLICAS)])
@pytest.mark.parametrize("days", [1, 3])
def test_demand_that_is_too_high_to_be_true_is_no_demand(value: float, days: int) -> None:
    past = past_of(history(all_of(value, days)))

    assert past.cycle is None
    assert past.highest == 0
    assert past.problem is not None
    assert past.problem.reason == "InvalidDemand"
    assert f"its demand reaches {value:.3g} replicas, and no threshold is above 1000000" in past.problem.message


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), float("-inf")])
def test_values_that_are_no_numbers_of_replicas_are_gaps(value: float) -> None:
    some = all_of(10.0)
    some[::20] = value
    past = past_of(history(some))
    assert past.cycle is not None
    assert (past.cycle.values.min(), past.cycle.values.max(), past.problem) == (10.0, 10.0, None)

    nothing = past_of(history(all_of(value)))
    assert nothing.cycle is None
    assert nothing.problem is not None
    assert nothing.problem.message == "864 of 864 values of its demand are negative or no finite number"


def test_a_spike_that_is_too_high_is_a_gap() -> None:
    values = all_of(10.0)
    values[100] = 1e19
    past = past_of(history(values))

    assert past.problem is None
    assert past.cycle is not None
    assert past.highest == 10.0
    assert past.cycle.values.max() == 10.0


def test_a_short_history_is_no_problem_and_one_that_the_source_found_stays() -> None:
    assert past_of(history(all_of(10.0, 1))).problem is None
    found = HistoryProblem("QueryRefused", "unclosed left brace")
    past = past_of(history(all_of(10.0), found))
    assert (past.cycle, past.problem) == (None, found)


def test_the_coming_day_is_told_with_the_usual_one() -> None:
    replicas = all_of(10.0, 8)
    times: Floats = np.arange(replicas.size, dtype=np.float64) * STEP_SECONDS
    past = past_of(History(NAME, times, replicas), now=8 * 86_400.0)

    assert past.cycle is not None
    assert past.coming is not None
    assert past.coming.basis is Basis.PAST_DAYS
    assert past_of(history(all_of(10.0, 1))).coming is None


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=60), st.integers(1, 14))
def test_whatever_the_values_the_day_is_one_of_replicas(values: list[float], times: int) -> None:
    past = past_of(history(np.resize(np.array(values, dtype=np.float64), times * 60)))

    if past.cycle is not None:
        assert np.isfinite(past.cycle.values).all()
        assert past.coming is not None
        for assumed in (past.cycle.values, past.coming.replicas):
            assert assumed.size == DAY
            assert 0 <= assumed.min() <= assumed.max() < MOST_REPLICAS
    assert 0 <= past.highest < MOST_REPLICAS
