"""Runs of levels: what a plan costs follows from the steps of the cycle, not from the number of replicas."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.threshold.levels import Levels
from spillway.domain.threshold.rounding import fill, fit

STEPS = 6

needs = st.lists(st.lists(st.integers(0, 12), min_size=STEPS, max_size=STEPS), min_size=1, max_size=5).map(
    lambda rows: np.array(rows, dtype=np.float64)
)


@given(needs, st.data())
def test_what_is_used_is_the_sum_of_what_each_level_is_needed(needed: Any, data: st.DataObject) -> None:
    levels = Levels(needed, np.ones(len(needed)))
    thresholds = np.array([data.draw(st.integers(0, int(most))) for most in levels.most])

    used = levels.used(np.arange(len(needed)), thresholds)

    assert used.tolist() == np.minimum(needed, thresholds[:, None]).sum(axis=1).tolist()


@given(needs, st.lists(st.floats(0, 2), min_size=STEPS, max_size=STEPS))
def test_the_best_thresholds_are_those_of_looking_at_every_level(needed: Any, prices: list[float]) -> None:
    levels = Levels(needed, np.ones(len(needed)))
    price = np.round(np.array(prices), 3)

    found, brings = levels.best(levels.worth(price))

    reached = [
        [float(((1 - price) * np.minimum(row, count)).sum()) for count in range(int(row.max()) + 1)] for row in needed
    ]
    assert abs(brings - sum(max(row) for row in reached)) < 1e-6
    for row, count in zip(reached, found, strict=True):
        assert abs(row[int(count)] - max(row)) < 1e-6


def test_a_million_replicas_are_no_more_runs_than_the_cycle_has_steps() -> None:
    needed = np.linspace(1, 1_000_000, STEPS).round()[None, :]
    levels = Levels(needed, np.ones(1))
    room = np.full(STEPS, 400_000.5)

    kept = fill(levels, fit(levels, levels.most, room, 0.0), room, 0.0)

    assert levels.top.size <= STEPS + 1
    assert kept.tolist() == [400_000]
