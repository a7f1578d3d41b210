"""Rounding thresholds to the room: nothing is above it afterwards, and nothing that fits is left out."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spillway.domain.threshold.demand import Series
from spillway.domain.threshold.levels import Counts, Levels
from spillway.domain.threshold.rounding import fill, fit

STEPS = 6
SLACK = 1e-9

needs = st.lists(st.lists(st.integers(0, 12), min_size=STEPS, max_size=STEPS), min_size=1, max_size=5).map(
    lambda rows: np.array(rows, dtype=np.float64)
)
rooms = st.lists(st.integers(0, 30), min_size=STEPS, max_size=STEPS).map(lambda row: np.array(row, dtype=np.float64))


@st.composite
def some_levels(draw: st.DrawFn) -> Levels:
    needed = draw(needs)
    cores = draw(st.lists(st.sampled_from([0.25, 0.5, 1.0, 2.0]), min_size=len(needed), max_size=len(needed)))
    return Levels(needed, np.array(cores))


@given(some_levels(), rooms)
def test_what_was_fitted_is_within_the_room_and_was_only_lowered(levels: Levels, room: Any) -> None:
    before = levels.most.copy()

    fitting = fit(levels, levels.most, room, SLACK)

    assert (levels.load(fitting) <= room + 2 * SLACK).all()
    assert (fitting >= 0).all()
    assert (fitting <= levels.most).all()
    assert levels.most.tolist() == before.tolist(), "the given thresholds are not changed"


@given(some_levels(), rooms)
def test_what_fits_already_stays(levels: Levels, room: Any) -> None:
    fitting = fit(levels, levels.most, room, SLACK)
    assert fit(levels, fitting, room, SLACK).tolist() == fitting.tolist()


@given(some_levels(), rooms, st.booleans())
def test_after_filling_no_further_replica_fits(levels: Levels, room: Any, by_duty: bool) -> None:  # noqa: FBT001
    fitting = fit(levels, levels.most, room, SLACK)

    filled = fill(levels, fitting, room, SLACK, by_duty=by_duty)

    assert (filled >= fitting).all()
    assert (levels.load(filled) <= room + 2 * SLACK).all()
    for workload in np.flatnonzero(filled < levels.most):
        more = filled.copy()
        more[workload] += 1
        assert (levels.load(more) > room).any(), f"one more replica of workload {workload} fits"


@pytest.mark.parametrize(
    ("room", "by_duty", "expected"),
    [
        pytest.param(2.0, False, [0, 1], id="most core-steps first"),
        pytest.param(2.0, True, [2, 0], id="most steps first"),
        pytest.param(4.0, False, [2, 1], id="room for all"),
        pytest.param(0.5, False, [0, 0], id="room for none"),
    ],
)
def test_who_is_raised_first(room: float, by_duty: bool, expected: list[int]) -> None:  # noqa: FBT001
    """Two small replicas that are needed always, and a big one for two of three steps."""
    levels = Levels(np.array([[2.0, 2.0, 2.0], [1.0, 1.0, 0.0]]), np.array([1.0, 2.0]))
    assert fill(levels, np.zeros(2, dtype=np.int64), np.full(3, room), SLACK, by_duty=by_duty).tolist() == expected


def test_the_replica_that_loses_least_goes_first() -> None:
    levels = Levels(np.array([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]]), np.ones(2))
    assert fit(levels, levels.most, np.array([1.0, 1.0, 1.0]), SLACK).tolist() == [1, 0]


def one_by_one(levels: Levels, thresholds: Counts, room: Series, slack: float, *, by_duty: bool) -> Counts:
    """What `fill` does, one run of levels after the other."""
    filled, left = thresholds.copy(), room - levels.load(thresholds) + slack
    closed: set[int] = set()
    while True:
        runs = levels.run_of(np.arange(levels.workloads), filled + 1)
        weights = np.ones(levels.workloads) if by_duty else levels.cpu_cores
        open_ = [one for one in range(levels.workloads) if one not in closed and runs[one] <= levels.last[one]]
        if not open_:
            return filled
        chosen = min(open_, key=lambda one: (-levels.duty[runs[one]] * weights[one], one))
        wanted = int(levels.top[runs[chosen]] - filled[chosen])
        needs = levels.needed[chosen] >= levels.top[runs[chosen]]
        fits = min(wanted, int(max(left.min(initial=np.inf, where=needs), 0.0) / levels.cpu_cores[chosen]))
        left -= fits * levels.cpu_cores[chosen] * needs
        filled[chosen] += fits
        if fits < wanted:
            closed.add(chosen)


@settings(max_examples=100)
@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0.0, 1.0), by_duty=st.booleans())
def test_filling_from_the_first_that_all_fit_is_filling_one_by_one(seed: int, share: float, *, by_duty: bool) -> None:
    random = np.random.default_rng(seed)
    workloads, steps = random.integers(1, 20), random.integers(1, 20)
    needed = random.integers(0, random.integers(1, 30) + 1, (workloads, steps)).astype(float)
    levels = Levels(needed, random.choice([0.25, 0.5, 1.0, 2.0], workloads))
    room = np.full(steps, share * levels.load(levels.most).max())
    some = np.minimum(levels.most, random.integers(0, 3, workloads))
    begun = some if (levels.load(some) <= room).all() else np.zeros_like(some)

    filled = fill(levels, begun, room, 1e-9, by_duty=by_duty)

    assert filled.tolist() == one_by_one(levels, begun, room, 1e-9, by_duty=by_duty).tolist()
