"""The recommended replicas of each workload at each step, by the forecaster and the scaling rule of production.

Contract: pure. What is recommended at a step follows from the demand before it alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from spillway.api.scalars import Duration
from spillway.api.scaling import Forecast, Scaling, ScalingTarget
from spillway.domain.forecast.forecaster import replay
from spillway.domain.forecast.grid import filled
from spillway.domain.forecast.spec import STEP_SECONDS, Flags, Floats, ForecastSpec
from spillway.domain.model.recurring import Timetable
from spillway.domain.scaling.demand import DemandForecast
from spillway.domain.scaling.rate import Steps, pause_seconds
from spillway.domain.scaling.recommend import Asked, Autoscaler, recommend
from spillway.simulate.backtest.case import Case
from spillway.simulate.backtest.scenario import most_replicas, whole_demand
from spillway.simulate.hpa import Ints

_ROWS_AT_ONCE: Final = 8


def recommended(case: Case, progress: Callable[[], None] = lambda: None) -> Ints:
    """The recommended replicas by workload and step; `progress` is called once for each workload."""
    setup = case.setup
    spec = ForecastSpec(setup.node_startup_seconds + setup.pod_startup_seconds, setup.window_seconds)
    most = most_replicas(whole_demand(case))
    rows = []
    for first in range(0, len(case.services), _ROWS_AT_ONCE):
        part = case.demand[first : first + _ROWS_AT_ONCE]
        forecasts = replay(part, spec)
        present, _ = filled(part)
        for row, service in enumerate(case.services[first : first + _ROWS_AT_ONCE]):
            scaling = service.scaling or _by_forecast(case)
            autoscaler = Autoscaler("hpa", 1, most[first + row], other_metrics=True)
            known = _Known(case.start, present[row], forecasts.served[row], forecasts.predictable[row])
            rows.append(_of_one(scaling, autoscaler, known))
            progress()
    return np.array(rows, dtype=np.int64)


def _by_forecast(case: Case) -> Scaling:
    window, startup = case.setup.window_seconds, case.setup.node_startup_seconds + case.setup.pod_startup_seconds
    return Scaling(
        target=ScalingTarget(metric="cpu", utilization=max(1, round(case.setup.target * 100))),
        forecast=Forecast(window=Duration(f"{window:.0f}s"), startup=Duration(f"{startup:.0f}s")),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """What is known of the demand of one workload, by step."""

    start: float
    present: Floats
    served: Floats
    predictable: Flags

    def forecast_at(self, step: int) -> DemandForecast | None:
        """The forecast that is made at the begin of a step."""
        if not step or not np.isfinite(self.served[step]):
            return None
        return DemandForecast(
            self.start + step * STEP_SECONDS,
            float(self.present[step - 1]),
            float(self.served[step]),
            bool(self.predictable[step]),
        )


def _of_one(scaling: Scaling, autoscaler: Autoscaler, known: _Known) -> list[int]:
    timetable = Timetable(scaling.schedules)
    ahead = 0.0 if scaling.max_scalings_per_hour is None else pause_seconds(scaling.max_scalings_per_hour)
    steps: Steps | None = None
    found: list[int] = []
    current = 1
    for step in range(known.present.size):
        now = known.start + step * STEP_SECONDS
        asked = Asked(
            current,
            timetable.at(now)[0] if scaling.schedules else (),
            timetable.upcoming(now, now + ahead) if scaling.schedules and ahead else (),
            known.forecast_at(step),
            autoscaler,
        )
        answer = recommend(scaling, asked, now, steps)
        steps, current = answer.steps, answer.replicas
        found.append(current)
    return found
