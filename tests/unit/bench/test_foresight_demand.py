"""The demand of the foresight bench: the same shape every day, with days and minutes that differ."""

import numpy as np
import pytest

from demo.past import MINUTE
from spillway.domain.model.units import DAY_SECONDS
from tests.bench.foresight_demand import PLAYED_MINUTES, DailyDemand, ForeseenService, services

START = 1_800_000_000.0
SERVICE = ForeseenService("svc", valley=2.0, peak=12.0, late_seconds=0.0)


def _demand(minutes: float = PLAYED_MINUTES, seed: int = 1) -> DailyDemand:
    return DailyDemand(START, minutes, 14, seed, (SERVICE,))


@pytest.mark.parametrize(
    ("minute", "low", "high"),
    [
        (5.0, 1.7, 2.3),
        (18.5, 9.0, 15.0),
        (24.5, 4.5, 8.0),
        (31.0, 9.0, 15.0),
        (38.0, 9.0, 15.0),
        (540.0, 9.0, 15.0),
        (610.0, 1.7, 2.3),
    ],
    ids=["valley", "peak", "dip", "second peak", "plateau", "its end", "valley again"],
)
@pytest.mark.parametrize("day", [0, -1, -7])
def test_every_day_has_the_shape(minute: float, low: float, high: float, day: int) -> None:
    assert low < _demand().now(0, START + day * DAY_SECONDS + minute * MINUTE) < high


def test_a_shorter_run_compresses_the_shape() -> None:
    half = _demand(PLAYED_MINUTES / 2)
    assert half.now(0, START + 9.25 * MINUTE) > 9.0
    assert half.now(0, START + 12.25 * MINUTE) < 8.0


def test_the_history_ends_at_the_start_and_goes_on_as_the_played_part() -> None:
    demand = _demand()
    times, values = demand.history(0)
    assert times.size == values.size == 14 * 1440
    assert START - MINUTE <= times[-1] < START
    assert np.allclose(np.diff(times), MINUTE)
    assert values.min() > 0
    assert demand.now(0, float(times[-1])) == pytest.approx(values[-1])


def test_days_differ_and_a_seed_repeats_them() -> None:
    peak = START + 18.5 * MINUTE
    days = {round(_demand().now(0, peak - day * DAY_SECONDS), 3) for day in range(14)}
    assert len(days) == 14
    assert _demand().now(0, peak) == _demand().now(0, peak)
    assert _demand(seed=2).now(0, peak) != _demand().now(0, peak)


def test_services_are_of_two_to_twenty_replicas() -> None:
    found = services(40, seed=3)
    assert len({one.name for one in found}) == 40
    assert all(1 < one.valley < one.peak < 20 for one in found)
