"""What is asked of the forecasting process."""

from spillway.domain.forecast.refresh import DemandNeed, DemandSource
from spillway.domain.forecast.spec import DAY_STEPS


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
    # Both end within the same step.
    assert _need(540, 240, 60).later_spec is None
    assert _need(86_400, 240, 240).later_spec is None


def test_a_second_window_ends_within_a_day() -> None:
    later = _need(86_000, 240, 7200).later_spec
    assert later is None or later.end == DAY_STEPS
