from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.api.scaling import ReplicaSchedule, Scaling
from spillway.domain.scaling.demand import STALE_SECONDS, DemandForecast
from spillway.domain.scaling.rate import Steps
from spillway.domain.scaling.recommend import (
    Asked,
    Autoscaler,
    ForecastState,
    Recommendation,
    ScalingReason,
    recommend,
)

NOW = 1_000_000.0
ON_CPU = Autoscaler("cart", 2, 50, other_metrics=True)
ALONE = Autoscaler("cart", 2, 50, other_metrics=False)


def _scaling(**more: Any) -> Scaling:
    return Scaling.model_validate(more)


def _schedule(replicas: int, name: str = "evening") -> ReplicaSchedule:
    return ReplicaSchedule.model_validate({"name": name, "start": "0 18 * * *", "duration": "1h", "replicas": replicas})


def _forecast(highest: float, *, made: float = NOW) -> DemandForecast:
    return DemandForecast(made, min(1.0, highest), highest, predictable=True)


def _said(found: Recommendation) -> tuple[int, ScalingReason, str]:
    return found.replicas, found.reason, found.schedule


def _before(steps: Steps | None = None, forecast: int | None = None) -> Recommendation:
    return Recommendation(0, ScalingReason.FORECAST, steps=steps, forecast=forecast)


TARGET = {"metric": "cpu", "utilization": 60}
ACTIVE = _scaling(target=TARGET, forecast={"mode": "Active"})


@pytest.mark.parametrize(
    ("scaling", "asked", "expected"),
    [
        # The highest of schedules and forecast, and which it is.
        (_scaling(), Asked(8, autoscaler=ON_CPU), (2, ScalingReason.MINIMUM, "")),
        (_scaling(), Asked(8, (_schedule(9),), autoscaler=ON_CPU), (9, ScalingReason.SCHEDULE, "evening")),
        (
            _scaling(),
            Asked(8, (_schedule(9), _schedule(12, "sale")), autoscaler=ON_CPU),
            (12, ScalingReason.SCHEDULE, "sale"),
        ),
        (ACTIVE, Asked(8, forecast=_forecast(11.2), autoscaler=ON_CPU), (12, ScalingReason.FORECAST, "")),
        (
            ACTIVE,
            Asked(8, (_schedule(9),), forecast=_forecast(11.2), autoscaler=ON_CPU),
            (12, ScalingReason.FORECAST, ""),
        ),
        (
            ACTIVE,
            Asked(8, (_schedule(20),), forecast=_forecast(11.2), autoscaler=ON_CPU),
            (20, ScalingReason.SCHEDULE, "evening"),
        ),
        # The bounds of the autoscaler, and of the class.
        (ACTIVE, Asked(8, forecast=_forecast(80.0), autoscaler=ON_CPU), (50, ScalingReason.FORECAST, "")),
        (ACTIVE, Asked(8, forecast=_forecast(0.3), autoscaler=ON_CPU), (2, ScalingReason.MINIMUM, "")),
        (
            _scaling(target=TARGET, forecast={}, minReplicas=4, maxReplicas=30),
            Asked(8, forecast=_forecast(80.0), autoscaler=ON_CPU),
            (30, ScalingReason.FORECAST, ""),
        ),
        (
            _scaling(target=TARGET, forecast={}, minReplicas=4),
            Asked(8, forecast=_forecast(0.3), autoscaler=ON_CPU),
            (4, ScalingReason.MINIMUM, ""),
        ),
        # To zero, where the autoscaler allows it.
        (
            ACTIVE,
            Asked(8, forecast=_forecast(0.0), autoscaler=Autoscaler("q", 0, 9, other_metrics=False)),
            (0, ScalingReason.FORECAST, ""),
        ),
        (
            ACTIVE,
            Asked(0, forecast=_forecast(0.2), autoscaler=Autoscaler("q", 0, 9, other_metrics=False)),
            (1, ScalingReason.FORECAST, ""),
        ),
        # Without a forecast: another metric scales the workload, or it stays as it is.
        (ACTIVE, Asked(8, autoscaler=ON_CPU), (2, ScalingReason.MINIMUM, "")),
        (ACTIVE, Asked(8, autoscaler=ON_CPU, settling=True), (8, ScalingReason.CURRENT, "")),
        (ACTIVE, Asked(8, autoscaler=ALONE), (8, ScalingReason.CURRENT, "")),
        (ACTIVE, Asked(8, (_schedule(9),), autoscaler=ALONE), (9, ScalingReason.SCHEDULE, "evening")),
        (ACTIVE, Asked(8), (8, ScalingReason.CURRENT, "")),
        (ACTIVE, Asked(8, forecast=_forecast(30, made=NOW - STALE_SECONDS - 1)), (8, ScalingReason.CURRENT, "")),
        (
            ACTIVE,
            Asked(8, forecast=_forecast(30, made=NOW - STALE_SECONDS - 1), autoscaler=ON_CPU),
            (2, ScalingReason.MINIMUM, ""),
        ),
        # A preview is told and does not count; neither is its absence a reason to keep the number.
        (
            _scaling(target=TARGET, forecast={"mode": "Preview"}),
            Asked(8, forecast=_forecast(30)),
            (0, ScalingReason.MINIMUM, ""),
        ),
        (
            _scaling(target=TARGET, forecast={"mode": "Preview"}),
            Asked(8, autoscaler=ALONE),
            (2, ScalingReason.MINIMUM, ""),
        ),
        (
            _scaling(target=TARGET, forecast={"mode": "Disabled"}),
            Asked(8, forecast=_forecast(30)),
            (0, ScalingReason.MINIMUM, ""),
        ),
        # Without a target no forecast ever comes, so there is nothing to wait for.
        (_scaling(forecast={}), Asked(40, autoscaler=ALONE), (2, ScalingReason.MINIMUM, "")),
        (_scaling(forecast={}), Asked(40), (0, ScalingReason.MINIMUM, "")),
        (_scaling(forecast={}, minReplicas=4), Asked(40, settling=True), (4, ScalingReason.MINIMUM, "")),
        # Exact.
        (
            _scaling(scheduleOnly=True, minReplicas=3),
            Asked(8, forecast=_forecast(30), autoscaler=ON_CPU),
            (3, ScalingReason.MINIMUM, ""),
        ),
        (
            _scaling(scheduleOnly=True, minReplicas=3),
            Asked(8, (_schedule(2),), autoscaler=Autoscaler("a", 1, 50, other_metrics=False)),
            (2, ScalingReason.SCHEDULE, "evening"),
        ),
    ],
)
def test_the_number_and_its_reason(scaling: Scaling, asked: Asked, expected: tuple[int, ScalingReason, str]) -> None:
    assert _said(recommend(scaling, asked, NOW)) == expected


@pytest.mark.parametrize(
    ("mode", "forecast", "state", "told"),
    [
        ("Active", _forecast(4.1), ForecastState.COUNTS, 5),
        ("Preview", _forecast(4.1), ForecastState.PREVIEW, 5),
        ("Active", _forecast(4.1, made=NOW - STALE_SECONDS - 1), ForecastState.STALE, 5),
        ("Active", None, ForecastState.MISSING, None),
        ("Disabled", _forecast(4.1), ForecastState.DISABLED, 5),
    ],
)
def test_what_becomes_of_the_forecast_is_told(
    mode: str, forecast: DemandForecast | None, state: ForecastState, told: int | None
) -> None:
    found = recommend(_scaling(target=TARGET, forecast={"mode": mode}), Asked(3, forecast=forecast), NOW)
    assert (found.forecast_state, found.forecast) == (state, told)


@pytest.mark.parametrize("mode", ["Active", "Preview", "Disabled"])
def test_a_forecast_without_a_target_has_no_effect(mode: str) -> None:
    assert recommend(_scaling(forecast={"mode": mode}), Asked(3), NOW).forecast_state is ForecastState.DISABLED


def test_a_predicted_peak_holds_a_scale_down_back() -> None:
    # The load has fallen, and comes back within the window: the floor stays.
    falling = DemandForecast(NOW, present=4.0, highest=17.4, predictable=True)
    assert recommend(ACTIVE, Asked(21, forecast=falling, autoscaler=ON_CPU), NOW).replicas == 18


def test_noise_around_a_whole_number_is_no_scale_down() -> None:
    found, numbers = None, []
    for highest in (3.9, 4.1, 3.9, 4.0, 3.7, 3.6, 3.5, 4.3):
        found = recommend(ACTIVE, Asked(4, forecast=_forecast(highest), autoscaler=ON_CPU), NOW, found)
        numbers.append(found.replicas)
    assert numbers == [4, 5, 5, 5, 5, 4, 4, 5]


def test_the_end_of_a_schedule_lowers_the_number_at_once() -> None:
    asked = Asked(12, (_schedule(12),), forecast=_forecast(11.0), autoscaler=ON_CPU)
    during = recommend(ACTIVE, asked, NOW, _before(forecast=11))
    after = recommend(ACTIVE, Asked(12, forecast=_forecast(11.0), autoscaler=ON_CPU), NOW + 60, during)
    assert (during.replicas, after.replicas) == (12, 11)


def test_a_new_leader_settles_a_forecast_against_the_replicas_that_exist() -> None:
    forecast = _forecast(18.5)
    assert recommend(ACTIVE, Asked(20, forecast=forecast, autoscaler=ON_CPU), NOW).replicas == 20
    assert recommend(ACTIVE, Asked(30, forecast=forecast, autoscaler=ON_CPU), NOW).replicas == 19


def test_a_bounded_rate_steps_to_what_is_coming_and_keeps_it() -> None:
    scaling = _scaling(maxScalingsPerHour=2)
    asked = Asked(2, (_schedule(6),), (_schedule(6), _schedule(15, "sale")), autoscaler=ON_CPU)
    first = recommend(scaling, asked, NOW, _before(Steps(2, NOW - 9000)))
    assert _said(first) == (15, ScalingReason.HELD, "")
    soon = recommend(scaling, Asked(15, autoscaler=ON_CPU), NOW + 60, first)
    assert _said(soon) == (15, ScalingReason.HELD, "")
    late = recommend(scaling, Asked(15, autoscaler=ON_CPU), NOW + 3600, soon)
    assert _said(late) == (2, ScalingReason.MINIMUM, "")


def test_with_schedules_only_no_bound_on_scalings_makes_a_schedule_late_or_early() -> None:
    scaling = _scaling(scheduleOnly=True, minReplicas=3, maxScalingsPerHour=1)
    evening, sale = _schedule(12), _schedule(40, "sale")
    found, numbers = None, []
    for minute, active in enumerate([(), (evening,), (evening, sale), (evening,), ()]):
        asked = Asked(3, active, (evening, sale), autoscaler=ALONE)
        found = recommend(scaling, asked, NOW + 60 * minute, found)
        numbers.append(_said(found))
    assert numbers == [
        (3, ScalingReason.MINIMUM, ""),
        (12, ScalingReason.SCHEDULE, "evening"),
        (40, ScalingReason.SCHEDULE, "sale"),
        (12, ScalingReason.SCHEDULE, "evening"),
        (3, ScalingReason.MINIMUM, ""),
    ]


def test_a_new_leader_takes_no_step_that_the_last_one_may_have_taken() -> None:
    scaling = _scaling(maxScalingsPerHour=2)
    first = recommend(scaling, Asked(14, autoscaler=ON_CPU), NOW)
    assert _said(first) == (14, ScalingReason.HELD, "")
    assert recommend(scaling, Asked(14, autoscaler=ON_CPU), NOW + 1800, first).replicas == 2


_SCALING = st.builds(
    lambda mode, low, span, rate, only: _scaling(
        target=TARGET,
        forecast={"mode": mode},
        minReplicas=low,
        maxReplicas=low + span,
        maxScalingsPerHour=rate,
        scheduleOnly=only,
    ),
    st.sampled_from(["Active", "Preview", "Disabled"]),
    st.integers(0, 20),
    st.integers(1, 50),
    st.none() | st.integers(1, 6),
    st.booleans(),
)
_SCHEDULES = st.lists(st.integers(0, 90).map(_schedule), max_size=3).map(tuple)
_FORECASTS = st.none() | st.builds(
    lambda highest, age: _forecast(highest, made=NOW - age),
    st.floats(0, 200),
    st.sampled_from([0.0, STALE_SECONDS + 1]),
)
_AUTOSCALERS = st.none() | st.builds(
    lambda low, span, other: Autoscaler("a", low, low + span, other_metrics=other),
    st.integers(0, 20),
    st.integers(0, 50),
    st.booleans(),
)
_ASKED = st.builds(Asked, st.integers(0, 100), _SCHEDULES, _SCHEDULES, _FORECASTS, _AUTOSCALERS, st.booleans())


_BEFORE = st.none() | st.builds(
    _before,
    st.none() | st.builds(Steps, st.integers(0, 100), st.just(NOW - 100.0)),
    st.none() | st.integers(0, 100),
)


@given(_SCALING, _ASKED, _BEFORE)
def test_it_is_always_within_the_bounds_of_the_autoscaler(
    scaling: Scaling, asked: Asked, before: Recommendation | None
) -> None:
    found = recommend(scaling, asked, NOW, before)
    if asked.autoscaler is not None:
        assert asked.autoscaler.minimum <= found.replicas <= asked.autoscaler.maximum
    else:
        assert 0 <= found.replicas <= (scaling.max_replicas or 0)


@given(_SCALING, _ASKED)
def test_a_forecast_only_adds(scaling: Scaling, asked: Asked) -> None:
    without = recommend(scaling, Asked(asked.current, asked.active, asked.upcoming, None, ON_CPU), NOW)
    also = recommend(scaling, Asked(asked.current, asked.active, asked.upcoming, asked.forecast, ON_CPU), NOW)
    assert also.replicas >= without.replicas


@given(_SCALING, _ASKED)
def test_every_active_schedule_is_met_up_to_the_bounds(scaling: Scaling, asked: Asked) -> None:
    found = recommend(scaling, asked, NOW)
    most = min(scaling.max_replicas or 0, asked.autoscaler.maximum if asked.autoscaler is not None else 1_000)
    assert all(found.replicas >= min(one.replicas, most) for one in asked.active)


@pytest.mark.parametrize(
    ("scaling", "asked", "active"),
    [
        # KEDA's autoscaler has a minimum of 1, and KEDA goes to zero by itself.
        (ACTIVE, Asked(3, forecast=_forecast(0.0), autoscaler=ON_CPU), False),
        (ACTIVE, Asked(3, forecast=_forecast(0.1), autoscaler=ON_CPU), True),
        (_scaling(), Asked(3, autoscaler=ON_CPU), False),
        (_scaling(), Asked(3, (_schedule(1),), autoscaler=ON_CPU), True),
        (_scaling(minReplicas=1), Asked(3, autoscaler=ON_CPU), True),
        (ACTIVE, Asked(0), False),
        (ACTIVE, Asked(3), True),
    ],
)
def test_a_workload_is_active_while_something_asks_for_it(scaling: Scaling, asked: Asked, *, active: bool) -> None:
    assert recommend(scaling, asked, NOW).active is active
