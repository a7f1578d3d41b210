from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.model.units import HOUR_SECONDS
from spillway.domain.scaling.rate import Steps, next_step, pause_seconds


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


_MOMENTS = st.lists(st.tuples(st.integers(1, 900), st.integers(0, 50), st.integers(0, 20)), min_size=1, max_size=120)


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
