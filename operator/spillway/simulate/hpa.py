"""A model of the Horizontal Pod Autoscaler for all workloads at once.

One resource metric that lags by `_LAG` steps, tolerance 10 %, scale-up by at most doubling or four pods a period, and a
stabilisation window of five minutes for scaling down: Kubernetes' defaults.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from spillway.simulate.scenario import STEP_SECONDS, Scenario

_LAG: Final = 2
_TOLERANCE: Final = 0.1
_WINDOW: Final = 300 // STEP_SECONDS

Ints = NDArray[np.int64]


class Hpa:
    """The model that gives the number of replicas of each workload."""

    def __init__(self, scenario: Scenario) -> None:
        self._demand = scenario.demand
        self._least = np.array([w.min_replicas for w in scenario.workloads])
        self._most = np.array([w.max_replicas for w in scenario.workloads])
        self._recent = np.zeros((_WINDOW, len(scenario.workloads)), dtype=np.int64)

    def initial(self) -> Ints:
        """The numbers of replicas at the start of the replay."""
        wanted = np.clip(np.ceil(self._demand[:, 0]).astype(np.int64), self._least, self._most)
        self._recent[:] = wanted
        return wanted

    def desired(self, step: int, replicas: Ints, ready: Ints) -> Ints:
        """The desired numbers of replicas at this step."""
        demand = self._demand[:, max(step - _LAG, 0)]
        ratio = demand / np.maximum(ready, 1)
        wanted = np.where(np.abs(ratio - 1) <= _TOLERANCE, replicas, np.ceil(demand).astype(np.int64))
        wanted = np.minimum(wanted, np.maximum(2 * replicas, replicas + 4))
        wanted = np.clip(wanted, self._least, self._most)
        self._recent[step % _WINDOW] = wanted
        stable = self._recent.max(axis=0)
        return np.where(wanted < replicas, np.minimum(stable, replicas), wanted)
