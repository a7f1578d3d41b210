"""The recommended replicas of each workload at each step, by the forecaster and the scaling rule of production.

Contract: pure. What is recommended at a step follows from the demand before it alone.
"""

from collections.abc import Callable

import numpy as np

from spillway.api.scalars import Duration
from spillway.api.scaling import Forecast, Scaling, ScalingTarget
from spillway.domain.forecast.spec import STEP_SECONDS
from spillway.domain.model.recurring import Timetable
from spillway.domain.scaling.recommend import Asked, Autoscaler, Recommendation, ahead_seconds, recommend
from spillway.simulate.backtest.case import Case
from spillway.simulate.backtest.forecasts import DemandForecasts
from spillway.simulate.backtest.scenario import most_replicas, whole_demand
from spillway.simulate.hpa import Ints


def recommended(case: Case, forecasts: DemandForecasts, progress: Callable[[], None] = lambda: None) -> Ints:
    """The recommended replicas by workload and step; `progress` is called once for each workload."""
    rows = []
    for row, most in enumerate(most_replicas(whole_demand(case))):
        scaling = case.services[row].scaling or by_forecast(case)
        rows.append(_of_one(scaling, Autoscaler("hpa", 1, most, other_metrics=True), forecasts, row))
        progress()
    return np.array(rows, dtype=np.int64)


def by_forecast(case: Case) -> Scaling:
    """How a service of a case is scaled where it does not say so itself."""
    window, startup = case.setup.window_seconds, case.setup.node_startup_seconds + case.setup.pod_startup_seconds
    return Scaling(
        target=ScalingTarget(metric="cpu", utilization=max(1, round(case.setup.target * 100))),
        forecast=Forecast(window=Duration(f"{window:.0f}s"), startup=Duration(f"{startup:.0f}s")),
    )


def _of_one(scaling: Scaling, autoscaler: Autoscaler, forecasts: DemandForecasts, row: int) -> list[int]:
    timetable = Timetable(scaling.schedules)
    answer: Recommendation | None = None
    found: list[int] = []
    for step in range(forecasts.present.shape[1]):
        now = forecasts.start + step * STEP_SECONDS
        ahead = ahead_seconds(scaling, answer, now)
        asked = Asked(
            1 if answer is None else answer.replicas,
            timetable.at(now)[0] if scaling.schedules else (),
            timetable.upcoming(now, now + ahead) if scaling.schedules and ahead else (),
            forecasts.at(row, step),
            autoscaler,
        )
        answer = recommend(scaling, asked, now, answer)
        found.append(answer.replicas)
    return found
