import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.model.units import HOUR_SECONDS
from spillway.domain.scaling.rate import Steps, horizon_seconds, next_step, pause_seconds, window_seconds


def test_a_step_up_covers_the_rise_that_is_coming() -> None:
    assert next_step(Steps(4, 0.0), 5, 9, 100.0, per_hour=4) == Steps(9, 100.0, (100.0,))


def test_a_rise_that_is_covered_is_no_step() -> None:
    assert next_step(Steps(9, 0.0), 7, 9, 100.0, per_hour=4) == Steps(9, 0.0)


def test_no_more_steps_than_allowed_within_any_hour() -> None:
    full = Steps(4, 1200.0, (0.0, 1200.0))
    assert next_step(full, 8, 8, 3599.0, per_hour=2).replicas == 4
    assert next_step(full, 8, 8, 3600.0, per_hour=2) == Steps(8, 3600.0, (1200.0, 3600.0))


def test_a_step_down_waits_for_its_share_of_the_hour_and_leaves_a_step_up() -> None:
    risen = Steps(9, 1000.0, (1000.0,))
    assert next_step(risen, 3, 3, 1000.0 + pause_seconds(4) - 1, per_hour=4).replicas == 9
    assert next_step(risen, 3, 3, 1000.0 + pause_seconds(4), per_hour=4).replicas == 3
    busy = Steps(9, 1000.0, (0.0, 500.0, 1000.0))
    assert next_step(busy, 3, 3, 2000.0, per_hour=4).replicas == 9
    assert next_step(busy, 12, 12, 2000.0, per_hour=4).replicas == 12


def test_a_step_down_stops_at_what_is_foreseen() -> None:
    assert next_step(Steps(9, 0.0), 2, 6, HOUR_SECONDS, per_hour=1).replicas == 6


@pytest.mark.parametrize(
    ("changed", "now", "per_hour", "horizon"),
    [
        pytest.param((), 5000.0, 1, 3600.0, id="the only step of the hour"),
        pytest.param((), 5000.0, 2, 1800.0, id="a step that leaves another one"),
        pytest.param((4700.0,), 5000.0, 2, 3300.0, id="the last step, soon after the first"),
        pytest.param((2000.0,), 5000.0, 2, 1800.0, id="the last step, long after the first"),
        pytest.param((1400.0,), 5000.0, 2, 1800.0, id="a step of more than an hour ago"),
        pytest.param((4700.0,), 5000.0, 3, 1200.0, id="one of three is left"),
        pytest.param((4700.0, 4900.0), 5000.0, 3, 3300.0, id="the last of three"),
    ],
)
def test_a_step_looks_ahead_until_the_next_one_is_certainly_possible(
    changed: tuple[float, ...], now: float, per_hour: int, horizon: float
) -> None:
    assert horizon_seconds(Steps(4, 0.0, changed), now, per_hour=per_hour) == horizon


def test_without_earlier_steps_the_horizon_is_that_of_a_first_one() -> None:
    assert horizon_seconds(None, 5000.0, per_hour=4) == pause_seconds(4)


@pytest.mark.parametrize(
    ("window", "per_hour", "expected"),
    [
        pytest.param(1800.0, None, 1800.0, id="no bound"),
        pytest.param(1800.0, 1, 3900.0, id="a step lasts an hour"),
        pytest.param(1800.0, 2, 2100.0, id="a step lasts half an hour"),
        pytest.param(1800.0, 4, 1800.0, id="the window is longer than a step lasts"),
        pytest.param(7200.0, 1, 7200.0, id="a long window"),
    ],
)
def test_demand_is_forecast_for_as_long_as_a_step_lasts(window: float, per_hour: int | None, expected: float) -> None:
    assert window_seconds(window, 300.0, per_hour=per_hour) == expected


_MOMENTS = st.lists(st.tuples(st.integers(1, 900), st.integers(0, 50), st.integers(0, 20)), min_size=1, max_size=120)


_CURVES = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 20)), min_size=1, max_size=20)


@given(_CURVES, _CURVES, st.integers(1, 6))
def test_what_is_known_ahead_is_never_late_whatever_else_comes(
    schedule: list[tuple[int, int]], surprises: list[tuple[int, int]], per_hour: int
) -> None:
    known, unknown = ([n for minutes, n in curve for _ in range(minutes)] for curve in (schedule, surprises))
    steps = Steps(known[0], 0.0)
    for minute, needed in enumerate(known):
        now, wanted = 60.0 * minute, max(needed, unknown[minute % len(unknown)])
        horizon = int(horizon_seconds(steps, now, per_hour=per_hour) // 60)
        ahead = max(wanted, *known[minute : minute + horizon + 1])
        steps = next_step(steps, wanted, ahead, now, per_hour=per_hour)
        assert steps.replicas >= needed


@given(_MOMENTS, st.integers(1, 60))
def test_the_bound_holds_whatever_is_wanted(moments: list[tuple[int, int, int]], per_hour: int) -> None:
    now, steps = 0.0, Steps(5, 0.0)
    changes: list[float] = []
    for pause, wanted, more in moments:
        now += pause
        before = steps.replicas
        steps = next_step(steps, wanted, wanted + more, now, per_hour=per_hour)
        if steps.replicas != before:
            changes.append(now)
            assert steps.replicas == wanted + more
        recent = [one for one in changes if now - one < HOUR_SECONDS]
        assert len(recent) <= per_hour
        # What is needed is there, unless the hour has had all of its steps.
        assert steps.replicas >= wanted or len(recent) == per_hour
