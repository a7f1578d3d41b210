"""The demand history of one workload: replicas needed, on a regular grid."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STEP_SECONDS: Final = 300.0
"""The grid of every history."""


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """The demand of one workload: replicas (not rounded) at times on the grid; gaps have no points."""

    workload: str
    times: Floats
    replicas: Floats
    problem: str = ""
    """Why there is none, if the workload's own query is the cause."""

    @property
    def seconds(self) -> float:
        """The time from the first point to the last."""
        return float(self.times[-1] - self.times[0]) if self.times.size else 0.0
