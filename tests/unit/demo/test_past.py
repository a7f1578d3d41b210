"""The demand that the demo's Prometheus tells: days that are alike, and not the same."""

import numpy as np
import pytest

from demo.past import PAST_DAYS, PER_CORE, DemandOfDays
from demo.scenario import Workload, plan_day

BEGINS = 1_700_000_000.0
DAY = plan_day(seed=2, workloads=3, seconds=480.0)
DEMAND = DemandOfDays(DAY, BEGINS)
HOURS = np.arange(0.0, 24.0, 0.5)


@pytest.mark.parametrize("workload", DAY.workloads, ids=lambda one: one.name)
def test_of_the_played_day_it_tells_the_load_that_is_played_but_for_noise(workload: Workload) -> None:
    told = DEMAND.at(workload, BEGINS + 3600 * HOURS) / PER_CORE
    played = np.array([workload.load((4.0 + hour) % 24.0) for hour in HOURS.tolist()])
    assert told == pytest.approx(played, rel=0.1)
    assert np.mean(told / played) == pytest.approx(1.0, abs=0.01)


def test_days_are_alike_and_none_is_the_same() -> None:
    workload = DAY.workloads[0]
    days = np.array([DEMAND.at(workload, BEGINS + 3600 * HOURS - 86_400 * back) for back in range(PAST_DAYS + 1)])
    played, past = days[0], days[1:]
    distance = np.abs(past / played - 1).mean(axis=1)
    assert np.all(distance > 0.01)
    assert np.all(distance < 0.5)
    assert np.all(np.array([np.corrcoef(played, day)[0, 1] for day in past]) > 0.9)


def test_the_same_seed_tells_the_same_and_another_one_not() -> None:
    times = BEGINS + 60 * np.arange(100.0)
    again = DemandOfDays(plan_day(seed=2, workloads=3, seconds=60.0), BEGINS)
    other = DemandOfDays(plan_day(seed=3, workloads=3, seconds=60.0), BEGINS)
    told = DEMAND.at(DAY.workloads[1], times)
    assert np.array_equal(told, again.at(again.day.workloads[1], times)), "however fast it is played"
    assert not np.allclose(told, other.at(other.day.workloads[1], times))


def test_minutes_are_told_once() -> None:
    first = DEMAND.minutes(BEGINS, BEGINS + 150.0)
    second = DEMAND.minutes(float(np.nextafter(first[-1], np.inf)), BEGINS + 300.0)
    assert np.array_equal(np.concatenate([first, second]), DEMAND.minutes(BEGINS, BEGINS + 300.0))
    assert DEMAND.past_begins == BEGINS - PAST_DAYS * 86_400.0
