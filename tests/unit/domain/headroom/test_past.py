"""What headroom goes by while forecasts are out of date."""

from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.headroom.past import AROUND_SECONDS, STEP_SECONDS, PastForecasts
from spillway.domain.model.units import DAY_SECONDS

HOUR = 3600.0


def test_what_was_asked_for_last_is_kept_without_what_the_workloads_have_taken_of_it() -> None:
    past = PastForecasts()
    past.note(5, 0.0, replicas=20)
    assert past.units(HOUR, replicas=20) == 5
    assert past.units(HOUR, replicas=23) == 2
    assert past.units(HOUR, replicas=40) == 0
    assert past.units(HOUR, replicas=4) == 5


def test_the_next_forecast_counts_in_place_of_the_last() -> None:
    past = PastForecasts()
    past.note(5, 0.0, replicas=20)
    past.note(0, 60.0, replicas=20)
    assert past.units(HOUR, replicas=20) == 0


def test_an_outage_that_begins_in_the_valley_leaves_the_peak_of_the_day_before() -> None:
    past = PastForecasts()
    past.note(8, 9 * HOUR, replicas=4)
    past.note(0, 10 * HOUR, replicas=12)
    past.note(0, DAY_SECONDS, replicas=4)
    assert past.units(DAY_SECONDS + HOUR, replicas=4) == 0
    assert past.units(DAY_SECONDS + 9 * HOUR - AROUND_SECONDS, replicas=4) == 8
    assert past.units(DAY_SECONDS + 9 * HOUR, replicas=12) == 8, "the peak is as wide as it was"
    assert past.units(DAY_SECONDS + 9 * HOUR + AROUND_SECONDS + STEP_SECONDS, replicas=12) == 0


def test_what_a_part_of_the_forecasts_asks_for_counts_on_the_next_day() -> None:
    past = PastForecasts()
    past.note(5, 0.0, replicas=20)
    past.learn(8, HOUR)
    assert past.units(2 * HOUR, replicas=20) == 5, "that of all forecasts was the last"
    past.note(0, DAY_SECONDS, replicas=20)
    assert past.units(DAY_SECONDS + HOUR, replicas=20) == 8


def test_nothing_is_kept_for_longer_than_a_day() -> None:
    past = PastForecasts()
    assert past.units(0.0, replicas=0) == 0
    past.note(5, 0.0, replicas=20)
    assert past.units(DAY_SECONDS - 1, replicas=20) == 5
    assert past.units(DAY_SECONDS, replicas=20) == 0


@given(st.lists(st.tuples(st.floats(1, 7200), st.integers(0, 50)), min_size=1, max_size=60))
def test_it_is_never_more_than_was_asked_for_and_remembers_a_day(steps: list[tuple[float, int]]) -> None:
    past, now = PastForecasts(), 0.0
    for pause, units in steps:
        now += pause
        past.note(units, now, replicas=0)
        assert 0 <= past.units(now, replicas=0) <= max(asked for _, asked in steps)
        assert past.units(now, replicas=0) >= units
    assert len(past._by_step) <= (DAY_SECONDS + 2 * AROUND_SECONDS) / STEP_SECONDS
