import itertools
from typing import Any

import pytest

from demo.scenario import CORES_PER_REPLICA, HOURS, Day, Peak, Workload, desired_replicas, plan_day


def workload(**changes: object) -> Workload:
    made: dict[str, Any] = {
        "name": "w",
        "base_cores": 1.0,
        "peaks": (),
        "ripple": (0.0, 0.0),
        "overflow": False,
        "min_replicas": 2,
        "max_replicas": 10,
    }
    return Workload(**(made | changes))


def test_the_same_seed_gives_the_same_day_and_another_seed_another() -> None:
    assert plan_day(seed=7) == plan_day(seed=7)
    assert plan_day(seed=7) != plan_day(seed=8)


def test_load_of_a_peak_is_highest_at_its_hour_and_wraps_around_midnight() -> None:
    peak = Peak(hour=23.0, width_hours=1.5, cores=4.0)
    assert peak.at(23.0) == pytest.approx(4.0)
    assert peak.at(1.0) == pytest.approx(peak.at(21.0))
    assert peak.at(11.0) < 0.01


@pytest.mark.parametrize(
    ("cores", "replicas"),
    [
        pytest.param(0.0, 2, id="never below the minimum"),
        pytest.param(3 * CORES_PER_REPLICA, 3, id="exactly what three carry"),
        pytest.param(3 * CORES_PER_REPLICA + 0.01, 4, id="a little more needs one more"),
        pytest.param(1000.0, 10, id="never above the maximum"),
    ],
)
def test_desired_replicas(cores: float, replicas: int) -> None:
    assert desired_replicas(workload(), cores) == replicas


def test_the_day_runs_once_around_the_clock_and_ends_where_it_began() -> None:
    day = plan_day(seconds=480)
    assert day.hour_at(0) == 4.0
    assert day.hour_at(240) == 16.0
    assert day.hour_at(480) == pytest.approx(4.0)


def test_the_day_has_two_peaks_with_a_valley_between_them_at_every_seed() -> None:
    for seed in range(5):
        day = plan_day(seed=seed)
        night, morning, afternoon, evening = (day.total_load(hour) for hour in (4.0, 10.0, 14.0, 19.5))
        assert evening > morning > 1.5 * afternoon > night


def test_workloads_peak_at_different_hours_and_some_may_overflow() -> None:
    day: Day = plan_day(workloads=20)
    hours = [step / 4 for step in range(int(4 * HOURS))]
    busiest = {max(hours, key=one.load) for one in day.workloads}
    assert len(busiest) > 8
    assert 0 < sum(one.overflow for one in day.workloads) < len(day.workloads) / 2
    assert len({one.name for one in day.workloads}) == 20


def test_load_is_never_negative() -> None:
    day = plan_day(seed=3)
    for one, step in itertools.product(day.workloads, range(96)):
        assert one.load(step / 4) > 0
