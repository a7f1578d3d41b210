"""What is asked of the forecasting process."""

from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.forecast.refresh import DemandNeed, DemandSource
from spillway.domain.forecast.spec import DAY_STEPS, STEP_SECONDS


def _need(window: float, startup: float, beyond: float) -> DemandNeed:
    return DemandNeed(
        "Deployment/shop/web",
        DemandSource.CPU,
        1.0,
        window_seconds=window,
        startup_seconds=startup,
        beyond_seconds=beyond,
    )


def test_the_second_window_begins_with_the_first_and_ends_later() -> None:
    need = _need(600, 240, 240)
    later = need.later_spec
    assert later is not None
    assert (later.first, later.end) == (need.spec.first, 3)
    assert need.spec.end == 2


def test_there_is_no_second_window_where_it_would_be_the_first() -> None:
    assert _need(600, 240, 0).later_spec is None
    assert _need(86_400, 240, 240).later_spec is None


@given(st.integers(60, 7200), st.integers(0, 1800), st.integers(1, 1800))
def test_the_second_window_holds_every_window_until_the_nodes_of_the_next_forecast_are_ready(
    window: int, startup: int, beyond: int
) -> None:
    need = _need(window, startup, beyond)
    later = need.later_spec
    assert later is not None
    # A node that the next forecast orders is ready a step and a start-up from now.
    made = [steps for steps in range(10) if steps * STEP_SECONDS < STEP_SECONDS + beyond]
    assert later.end == max(steps + need.spec.end for steps in made)


def test_a_second_window_ends_within_a_day() -> None:
    later = _need(86_000, 240, 7200).later_spec
    assert later is None or later.end == DAY_STEPS
