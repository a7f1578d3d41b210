"""Twin of tests/bench/placement_scenario.py."""

import numpy as np
import pytest

from demo.scenario import DAY_BEGINS_AT, desired_replicas
from tests.bench.placement_scenario import HISTORY_DAYS, LIVED, STEPS, STEPS_PER_HOUR, Dates, plan_dates, step_at


@pytest.fixture(scope="module")
def dates() -> Dates:
    return plan_dates(seed=1, workloads=20)


def test_the_same_seed_gives_the_same_days(dates: Dates) -> None:
    assert (plan_dates(seed=1).calendar(3) == dates.calendar(3)).all()
    assert (plan_dates(seed=2).calendar(3) != dates.calendar(3)).any()


def test_each_date_differs_and_resembles_the_others(dates: Dates) -> None:
    days = np.array([dates.calendar(date).sum(axis=0) for date in range(HISTORY_DAYS)])
    lived = dates.calendar(LIVED).sum(axis=0)
    assert all((days[date] != lived).any() for date in range(HISTORY_DAYS))
    assert lived.max() == pytest.approx(np.median(days.max(axis=1)), rel=0.12)


def test_the_lived_day_begins_in_the_valley(dates: Dates) -> None:
    lived, calendar = dates.lived(), dates.calendar(LIVED)
    assert (lived[:, 0] == calendar[:, round(DAY_BEGINS_AT * STEPS_PER_HOUR)]).all()
    assert lived.sum() == calendar.sum()
    assert lived[:, 0].sum() < 0.4 * lived.sum(axis=0).max()


def test_replicas_rise_at_once_and_fall_late(dates: Dates) -> None:
    for workload, row in zip(dates.day.workloads, dates.calendar(0), strict=True):
        assert row.min() >= workload.min_replicas
        assert row.max() <= workload.max_replicas
        assert abs(row.max() - max(desired_replicas(workload, workload.load(h / 4)) for h in range(96))) <= 6


@pytest.mark.parametrize(
    ("hours", "step"),
    [
        pytest.param(-1.0, 0, id="before"),
        pytest.param(0.09, 1, id="second"),
        pytest.param(23.99, STEPS - 1, id="last"),
        pytest.param(30.0, STEPS - 1, id="after"),
    ],
)
def test_step_at(hours: float, step: int) -> None:
    assert step_at(hours) == step
