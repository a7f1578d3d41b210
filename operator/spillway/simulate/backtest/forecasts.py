"""The forecasts of each workload at each step, by the forecaster of production.

Contract: pure. What is told at a step follows from the demand before it alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from spillway.domain.forecast.forecaster import replay
from spillway.domain.forecast.grid import filled
from spillway.domain.forecast.spec import STEP_SECONDS, Flags, Floats, ForecastSpec
from spillway.domain.scaling.demand import DemandForecast
from spillway.simulate.backtest.case import Case

_ROWS_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True, eq=False)
class DemandForecasts:
    """What is known of the demand, by workload and step."""

    start: float
    """Unix seconds of the first step."""
    present: Floats
    served: Floats
    predictable: Flags
    later: Floats
    """The highest demand until one start-up after the end of the window; 0 where there are no elastic nodes, for whose
    headroom alone it counts, and where no forecast tells it."""
    soon_after: Floats
    """What the demand is expected to reach until a quarter of an hour after the window."""

    def at(self, workload: int, step: int) -> DemandForecast | None:
        """The forecast of a workload that is made at the begin of a step."""
        if not step or not np.isfinite(self.served[workload, step]):
            return None
        return DemandForecast(
            self.start + step * STEP_SECONDS,
            float(self.present[workload, step - 1]),
            float(self.served[workload, step]),
            bool(self.predictable[workload, step]),
            float(self.later[workload, step]),
            float(self.soon_after[workload, step]),
        )


def demand_forecasts(case: Case, progress: Callable[[], None] = lambda: None) -> DemandForecasts:
    """The forecasts of a case; `progress` is called once for each workload."""
    setup = case.setup
    startup = setup.node_startup_seconds + setup.pod_startup_seconds
    spec = ForecastSpec(startup, setup.window_seconds, setup.forecast_price)
    present, served, later, soon_after = list[Floats](), list[Floats](), list[Floats](), list[Floats]()
    predictable: list[Flags] = []
    for first in range(0, len(case.services), _ROWS_AT_ONCE):
        part = case.demand[first : first + _ROWS_AT_ONCE]
        found = replay(part, spec)
        present.append(filled(part)[0])
        served.append(found.served)
        predictable.append(found.predictable)
        soon_after.append(found.soon_after)
        later.append(_later(part, spec, startup, found.predictable) if setup.elastic_nodes else 0 * found.served)
        for _ in part:
            progress()
    return DemandForecasts(
        case.start,
        np.concatenate(present),
        np.concatenate(served),
        np.concatenate(predictable),
        np.concatenate(later),
        np.concatenate(soon_after),
    )


def _later(part: Floats, spec: ForecastSpec, startup: float, predictable: Flags) -> Floats:
    found = replay(part, spec.beyond(startup))
    return np.where(predictable & found.predictable, found.served, 0.0)
