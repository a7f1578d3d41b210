"""Billed time: each run of a level with its start-up, and the minimum at least."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.threshold.billing import Billed, Billing, billed, billed_runs
from spillway.domain.threshold.demand import Demand, Series
from tests.unit.domain.threshold.threshold_cases import STEPS, demand


def levels_billed(of: Demand, billing: Billing) -> Series:
    """The billed share of each level by itself, the first level first."""
    runs = billed_runs(of, billing)
    return np.repeat(runs.shares, runs.widths.astype(np.int64))


@pytest.mark.parametrize(
    ("replicas", "billing", "expected"),
    [
        ([1, 1, 1, 1], Billing(60, minimum_seconds=600, startup_seconds=30), [240]),  # never starts
        ([0, 1, 1, 0], Billing(60), [120]),
        ([0, 1, 1, 0], Billing(60, startup_seconds=30), [150]),
        ([0, 1, 0, 1], Billing(60, startup_seconds=30), [180]),
        ([0, 1, 1, 0], Billing(60, minimum_seconds=300), [300]),
        ([0, 1, 0, 1], Billing(60, minimum_seconds=300), [600]),
        ([0, 1, 0, 1], Billing(60, minimum_seconds=300, startup_seconds=250), [620]),
        ([1, 0, 0, 1], Billing(60, minimum_seconds=90), [120]),  # one run over the end of the cycle
        ([1, 0, 1, 0, 0, 1], Billing(60, minimum_seconds=90), [210]),
        ([2, 0, 1, 2], Billing(60, minimum_seconds=100), [180, 120]),
        ([0, 0], Billing(60), []),
    ],
)
def test_every_run_is_billed_with_its_start_and_the_minimum_at_least(
    replicas: Sequence[float], billing: Billing, expected: Sequence[float]
) -> None:
    assert levels_billed(demand("a", replicas), billing) * 60 * len(replicas) == pytest.approx(expected)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=16), st.integers(0, 300), st.integers(0, 100))
def test_billing_is_what_going_through_the_runs_one_by_one_gives(
    replicas: list[int], minimum: int, startup: int
) -> None:
    def seconds(level: int) -> float:
        needed = [count >= level for count in replicas]
        if all(needed):
            return 60.0 * len(needed)
        at = needed.index(False)
        runs = "".join("x" if one else " " for one in needed[at:] + needed[:at]).split()
        return sum(max(60.0 * len(run) + startup, minimum) for run in runs)

    shares = levels_billed(demand("a", replicas), Billing(60, minimum_seconds=minimum, startup_seconds=startup))
    assert shares * 60 * len(replicas) == pytest.approx([seconds(level) for level in range(1, max(replicas) + 1)])


@given(st.lists(st.integers(0, 9), min_size=STEPS, max_size=STEPS), st.sampled_from([0.0, 900.0]))
def test_neighbouring_levels_are_billed_as_each_by_itself(replicas: list[int], minimum: float) -> None:
    billing = Billing(300, minimum, 60)

    together = levels_billed(demand("a", replicas), billing)

    alone = [
        float(levels_billed(demand("a", [float(count >= level) for count in replicas]), billing).sum())
        for level in range(1, max(replicas) + 1)
    ]
    assert np.allclose(together, alone)


def test_what_is_billed_beyond_a_threshold_is_what_the_levels_above_it_cost() -> None:
    one = Billed.of(demand("a", [2, 0, 1, 2], 0.5), Billing(60))
    assert [one.at(threshold) for threshold in range(4)] == pytest.approx([0.625, 0.25, 0.0, 0.0])
    assert [each.demand.workload for each in billed([demand("b", [1]), demand("a", [1])], Billing(60))] == [
        "Deployment/shop/b",
        "Deployment/shop/a",
    ]


@pytest.mark.parametrize("wrong", [(0.0, 0.0, 0.0), (60.0, -1.0, 0.0), (60.0, 0.0, -1.0)])
def test_a_time_that_cannot_be_is_refused(wrong: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        Billing(*wrong)


@given(
    st.lists(st.integers(0, 9), min_size=STEPS, max_size=STEPS),
    st.sampled_from([0.0, 900.0]),
    st.integers(0, 10),
)
def test_beyond_a_threshold_the_levels_above_it_add_up(replicas: list[int], minimum: float, threshold: int) -> None:
    billing = Billing(300, minimum, 60)
    one = demand("a", replicas, 0.5)

    assert Billed.of(one, billing).at(threshold) == pytest.approx(levels_billed(one, billing)[threshold:].sum() * 0.5)


def test_the_size_goes_by_the_steps_and_not_by_the_replicas() -> None:
    runs = billed_runs(demand("a", [1e12, 0, 1]), Billing(60))

    assert runs.tops.tolist() == [1.0, 1e12]
    assert runs.shares * 3 == pytest.approx([2.0, 1.0])
