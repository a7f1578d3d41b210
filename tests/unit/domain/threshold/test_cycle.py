import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from spillway.domain.model.units import DAY_SECONDS
from spillway.domain.threshold.cycle import cycle_of

START = 1_700_006_400  # a midnight, UTC
HOUR = 3600
WEEK = 7 * DAY_SECONDS


def hourly(days: int) -> NDArray[np.float64]:
    return START + np.arange(days * 24, dtype=np.float64) * HOUR


def evening(times: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where((times % DAY_SECONDS) // HOUR >= 18, 10.0, 2.0)


def test_a_day_that_repeats_is_the_coming_day_with_full_confidence() -> None:
    times = hourly(4)
    cycle = cycle_of(times, evening(times), step_seconds=HOUR)
    assert cycle is not None
    assert cycle.values.tolist() == [2.0] * 18 + [10.0] * 6
    assert cycle.confidence == 100


def test_less_than_two_days_of_history_is_no_answer() -> None:
    times = hourly(2)
    assert cycle_of(times, evening(times), step_seconds=HOUR) is not None
    assert cycle_of(times[:-2], evening(times[:-2]), step_seconds=HOUR) is None
    assert cycle_of([], [], step_seconds=HOUR) is None
    assert cycle_of([START, START + 5 * DAY_SECONDS], [1, 1], step_seconds=HOUR) is None, "two samples are no history"


def test_the_age_of_a_history_is_what_it_covers() -> None:
    times = hourly(14)
    working_hours = (times % DAY_SECONDS // HOUR >= 6) & (times % DAY_SECONDS // HOUR < 20)
    two_days = times[working_hours][: 2 * 24 - 5]

    assert cycle_of(two_days, evening(two_days), step_seconds=HOUR) is None, "four days apart, less than two covered"
    more = times[working_hours][: 2 * 24 - 4]
    assert cycle_of(more, evening(more), step_seconds=HOUR) is not None, "a tenth of two days may be missing"


def test_two_weeks_that_are_mostly_gaps_are_no_weeks() -> None:
    times = hourly(14)
    ends = (times < START + 3 * DAY_SECONDS) | (times >= START + 11 * DAY_SECONDS)
    values = np.where(((times - START) // DAY_SECONDS) % 7 >= 5, 1.0, 6.0)

    cycle = cycle_of(times[ends], values[ends], step_seconds=HOUR, cycle_seconds=WEEK)

    assert cycle is not None
    assert set(cycle.values.tolist()) == {6.0}, "one day, repeated"


def test_confidence_falls_with_what_is_missing_of_a_representative_time() -> None:
    times = hourly(2)

    cycle = cycle_of(times, evening(times), step_seconds=HOUR, representative_seconds=WEEK)
    longer = cycle_of(hourly(9), evening(hourly(9)), step_seconds=HOUR, representative_seconds=WEEK)

    assert cycle is not None
    assert cycle.confidence == round(100 * 2 / 7)
    assert longer is not None
    assert longer.confidence == 100


def test_gaps_are_filled_from_the_same_hour_of_other_days() -> None:
    times = hourly(7)
    gap = (times >= START + 2 * DAY_SECONDS + 17 * HOUR) & (times < START + 3 * DAY_SECONDS + 5 * HOUR)
    cycle = cycle_of(times[~gap], evening(times[~gap]), step_seconds=HOUR)
    assert cycle is not None
    assert cycle.values.tolist() == [2.0] * 18 + [10.0] * 6
    assert cycle.confidence == round(100 * (1 - gap.mean()))


def test_an_hour_that_no_day_has_is_filled_from_its_neighbours() -> None:
    times = hourly(3)
    midnight = times % DAY_SECONDS == 0
    values = np.where(times % DAY_SECONDS == HOUR, 4.0, 2.0)
    cycle = cycle_of(times[~midnight], values[~midnight], step_seconds=HOUR)
    assert cycle is not None
    assert cycle.values[:3].tolist() == [3.0, 4.0, 2.0]


@pytest.mark.parametrize("gap", [float("nan"), float("inf"), -1.0])
def test_what_is_no_number_of_replicas_is_a_gap(gap: float) -> None:
    times = hourly(5)
    values = evening(times)
    values[30] = gap
    cycle = cycle_of(times, values, step_seconds=HOUR)
    assert cycle is not None
    assert cycle.values.tolist() == [2.0] * 18 + [10.0] * 6


def test_a_spike_of_a_minute_is_not_averaged_away() -> None:
    times = START + np.arange(3 * 1440, dtype=np.float64) * 60
    values = np.where(times % 1800 == 0, 9.0, 3.0)
    cycle = cycle_of(times, values, step_seconds=300)
    assert cycle is not None
    assert cycle.values.tolist() == ([9.0] + [3.0] * 5) * 48


def test_the_quantile_says_how_careful_the_plan_is() -> None:
    times = hourly(5)
    values = np.repeat([1.0, 2.0, 3.0, 4.0, 5.0], 24)
    found = [cycle_of(times, values, step_seconds=HOUR, quantile=quantile) for quantile in (0.0, 0.5, 1.0)]
    assert [float(one.values[0]) for one in found if one] == [1.0, 3.0, 5.0]
    assert all(one is not None and one.confidence < 80 for one in found)


def test_a_week_is_known_after_two_of_them_and_made_of_days_before() -> None:
    for days, weekend in ((14, 1.0), (10, 6.0)):
        times = hourly(days)
        values = np.where(((times - START) // DAY_SECONDS) % 7 >= 5, 1.0, 6.0)
        cycle = cycle_of(times, values, step_seconds=HOUR, cycle_seconds=WEEK)
        assert cycle is not None
        assert cycle.values.size == 168
        assert float(cycle.values.min()) == weekend


def test_steps_are_those_of_the_clock_wherever_the_history_begins() -> None:
    times = hourly(5)[7:]
    cycle = cycle_of(times, evening(times), step_seconds=HOUR)
    assert cycle is not None
    assert cycle.values.tolist() == [2.0] * 18 + [10.0] * 6
    assert cycle.confidence == 100


@pytest.mark.parametrize(
    "wrong",
    [{"step_seconds": 7000}, {"step_seconds": HOUR, "cycle_seconds": 5000}, {"step_seconds": HOUR, "quantile": 2}],
)
def test_a_cycle_that_is_none_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"cycle|quantile"):
        cycle_of([START], [1], **wrong)


@given(
    st.lists(
        st.tuples(st.floats(0, 5 * DAY_SECONDS), st.floats(0, 1000) | st.just(float("nan"))), min_size=60, max_size=200
    ),
    st.floats(0, 1),
)
def test_any_history_gives_a_whole_cycle_within_what_was_seen_or_no_answer(
    samples: list[tuple[float, float]], quantile: float
) -> None:
    times = [START + at for at, _ in samples]
    values = [value for _, value in samples]
    cycle = cycle_of(times, values, step_seconds=HOUR, quantile=quantile)
    if cycle is None:
        return
    assert cycle.values.size == 24
    assert np.isfinite(cycle.values).all()
    seen = [value for value in values if np.isfinite(value)]
    assert min(seen) - 1e-9 <= float(cycle.values.min()) <= float(cycle.values.max()) <= max(seen) + 1e-9
    assert 0 <= cycle.confidence <= 100
    order = np.argsort(values)
    shuffled = cycle_of(np.array(times)[order], np.array(values)[order], step_seconds=HOUR, quantile=quantile)
    assert shuffled is not None
    assert shuffled.values.tolist() == cycle.values.tolist()
