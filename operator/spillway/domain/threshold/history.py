"""The demand history of one workload: replicas needed, on a regular grid.

Contract: the age of a history is its coverage, the number of steps with data times the length of a step. The distance
from the first point to the last says nothing: two points may be a month apart.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STEP_SECONDS: Final = 300.0
"""The grid of every history."""
NO_POINTS: Final[Floats] = np.empty(0)


@dataclass(frozen=True, slots=True, eq=False)
class HistoryProblem:
    """The reason why the history of one workload cannot be read, while others can."""

    reason: str
    """One CamelCase word for a condition."""
    message: str


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """The demand of one workload: replicas (not rounded) at times on the grid, in order; gaps have no points."""

    workload: str
    times: Floats
    replicas: Floats
    problem: HistoryProblem | None = None
    """Why there is none, if this workload alone is the cause."""

    @property
    def seconds(self) -> float:
        """The covered time: the steps that have data."""
        return self.times.size * STEP_SECONDS


def merged(first: tuple[Floats, Floats], second: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """The times and values of two series on one grid: at each step those of `first`, where it has none of `second`."""
    times = np.concatenate([first[0], second[0]])
    values = np.concatenate([first[1], second[1]])
    # The first occurrence of a time wins.
    kept, index = np.unique(times, return_index=True)
    return kept, values[index]
