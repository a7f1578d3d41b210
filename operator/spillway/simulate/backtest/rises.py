"""The headroom of a backtest: sized by the replicas that are expected to start while a node starts, as in production.

Contract: pure. A workload counts as far as its pods run on physical nodes: up to its threshold.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from spillway.api.headroom import Headroom
from spillway.domain.forecast.spec import STEP_SECONDS
from spillway.domain.headroom.rise import rise_of
from spillway.domain.headroom.scheduled import ScheduledReplicas
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
    # A node that is ordered at one step is there at a later one.
    startup = case.setup.node_startup_seconds + case.setup.pod_startup_seconds
    ahead = math.ceil(startup / STEP_SECONDS) * STEP_SECONDS
    schedules = {
        row: ScheduledReplicas(one.scaling, ahead)
        for row, one in enumerate(case.services)
        if one.scaling is not None and one.scaling.schedules
    }
    expected = np.fmax(forecasts.served, forecasts.later)
    expected[:, 1:] = np.fmax(expected[:, 1:], forecasts.present)

    def rises(step: int, replicas: Ints) -> Mapping[int, int]:
        thresholds = in_force(planned, step).replicas
        now = case.start + step * STEP_SECONDS
        scheduled = {row: one.most(now) for row, one in schedules.items()}
        found: dict[int, int] = {}
        for row in {*np.flatnonzero(counted & (expected[:, step] > replicas)).tolist(), *scheduled}:
            threshold = thresholds[row]
            found[row] = rise_of(
                forecasts.at(row, step) if counted[row] else None,
                replicas=int(replicas[row]),
                most=most[row] if threshold is None else min(most[row], threshold),
                now=now,
                scheduled=scheduled.get(row, 0),
            )
        return {row: rise for row, rise in found.items() if rise}

    return HeadroomRules(_BY_FORECAST, rises)


def _counts(service: Service) -> bool:
    """Whether forecasts of its demand scale a workload."""
    scaling = service.scaling
    return scaling is None or (scaling.forecast is not None and scaling.forecast.mode == "Active")
