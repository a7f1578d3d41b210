"""A model of the Horizontal Pod Autoscaler for all workloads at once.

One resource metric that lags by half a minute, tolerance 10 %, scale-up by at most doubling or four pods in 15 s, and
a stabilisation window of five minutes for scaling down: Kubernetes' defaults. An external metric may ask for more, as
Spillway's recommended replicas do, and has the same tolerance; for a workload under schedules alone it is exact.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from spillway.simulate.scenario import STEP_SECONDS, Scenario

_LAG_SECONDS: Final = 30.0
_TOLERANCE: Final = 0.1
_WINDOW_SECONDS: Final = 300.0
_LEAST_WINDOW: Final = 2
"""The window holds this step and the one before, however long they are."""

Ints = NDArray[np.int64]


class Hpa:
    """The model that gives the number of replicas of each workload."""

    def __init__(self, scenario: Scenario) -> None:
        self._demand = scenario.demand
        self._least = np.array([w.min_replicas for w in scenario.workloads])
        self._most = np.array([w.max_replicas for w in scenario.workloads])
        self._exact = np.array([w.schedule_only for w in scenario.workloads])
        self._lag = scenario.steps_in(_LAG_SECONDS)
        self._window = max(scenario.steps_in(_WINDOW_SECONDS), _LEAST_WINDOW)
        self._periods = max(scenario.step_seconds // STEP_SECONDS, 1)
        self._recent = np.zeros((self._window, len(scenario.workloads)), dtype=np.int64)

    def initial(self) -> Ints:
        """The numbers of replicas at the start of the replay."""
        wanted = np.clip(np.ceil(self._demand[:, 0]).astype(np.int64), self._least, self._most)
        self._recent[:] = wanted
        return wanted

    def desired(self, step: int, replicas: Ints, ready: Ints, recommended: Ints | None = None) -> Ints:
        """The desired numbers of replicas at this step; `recommended` is the external metric, if there is one."""
        demand = self._demand[:, max(step - self._lag, 0)]
        ratio = demand / np.maximum(ready, 1)
        wanted = np.where(np.abs(ratio - 1) <= _TOLERANCE, replicas, np.ceil(demand).astype(np.int64))
        if recommended is not None:
            near = np.abs(recommended / np.maximum(replicas, 1) - 1) <= _TOLERANCE
            wanted = np.maximum(wanted, np.where(near, replicas, recommended))
        wanted = np.minimum(wanted, np.maximum(2**self._periods * replicas, replicas + 4 * self._periods))
        wanted = np.clip(wanted, self._least, self._most)
        self._recent[step % self._window] = wanted
        stable = self._recent.max(axis=0)
        found = np.where(wanted < replicas, np.minimum(stable, replicas), wanted)
        return found if recommended is None else np.where(self._exact, recommended, found)
