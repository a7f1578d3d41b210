"""The headroom of a backtest: sized by the replicas that forecasts expect while a node starts, as in production.

Contract: pure. A workload counts as far as its pods run on physical nodes: up to its threshold.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from spillway.api.headroom import Headroom
from spillway.domain.forecast.spec import STEP_SECONDS
from spillway.domain.headroom.rise import rise_of
from spillway.simulate.backtest.case import Case, Service
from spillway.simulate.backtest.forecasts import DemandForecasts
from spillway.simulate.backtest.scenario import most_replicas, whole_demand
from spillway.simulate.backtest.thresholds import Thresholds, in_force
from spillway.simulate.headroom import HeadroomRules
from spillway.simulate.hpa import Ints

_BY_FORECAST: Final = Headroom()


def headroom_rules(case: Case, forecasts: DemandForecasts, planned: Sequence[Thresholds]) -> HeadroomRules:
    """The rules of the default headroom."""
    most = most_replicas(whole_demand(case))
    counted = np.array([_counts(one) for one in case.services])
    expected = np.fmax(forecasts.served, forecasts.later)
    expected[:, 1:] = np.fmax(expected[:, 1:], forecasts.present)

    def rises(step: int, replicas: Ints) -> Mapping[int, int]:
        thresholds = in_force(planned, step).replicas
        found: dict[int, int] = {}
        for row in np.flatnonzero(counted & (expected[:, step] > replicas)).tolist():
            threshold = thresholds[row]
            found[row] = rise_of(
                forecasts.at(row, step),
                replicas=int(replicas[row]),
                most=most[row] if threshold is None else min(most[row], threshold),
                now=case.start + step * STEP_SECONDS,
            )
        return {row: rise for row, rise in found.items() if rise}

    return HeadroomRules(_BY_FORECAST, rises)


def _counts(service: Service) -> bool:
    """Whether forecasts of its demand scale a workload."""
    return service.scaling is None or service.scaling.acts_on_forecast
