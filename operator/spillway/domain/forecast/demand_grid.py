"""The demand of all workloads in memory, on one grid of steps: a row for each workload, the newest step last.

Contract: steps are numbered from 1970 (step n begins n x 300 s after it), and the grid begins at a whole hour. What was
not seen is nan. Samples that are negative, no finite number, or of a step that has not ended are left out: a clock that
is ahead teaches nothing. Rows are kept as 32-bit floats, seven digits: four weeks of 2,000 workloads take 64 MiB.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spillway.domain.forecast.spec import DAY_STEPS, HOUR_STEPS, STEP_SECONDS, Floats

_FIRST_ROWS: Final = 64
_SPARE_STEPS: Final = DAY_STEPS
"""Columns beside the history, so that the grid moves once a day."""


class Identity(NamedTuple):
    """What a row is about: another source, or another query, is another history."""

    workload: str
    source: str
    query: str


class DemandGrid:
    """The grid. `steps` is the longest history."""

    def __init__(self, steps: int, end: int) -> None:
        """`end` is the first step that has not ended."""
        self.steps: Final = steps
        self.end = end
        self._start = (end - steps) // HOUR_STEPS * HOUR_STEPS
        self._values = _unseen(_FIRST_ROWS, self._columns)
        self._rows: dict[Identity, int] = {}
        self._free = list(range(_FIRST_ROWS))

    @property
    def identities(self) -> Iterable[Identity]:
        return self._rows.keys()

    def __contains__(self, identity: Identity) -> bool:
        return identity in self._rows

    def add(self, identity: Identity) -> None:
        """Begin a row of which nothing is known."""
        if not self._free:
            count = self._values.shape[0]
            self._values = np.concatenate([self._values, _unseen(count, self._columns)])
            self._free = list(range(count, 2 * count))
        self._rows[identity] = self._free.pop()

    def forget(self, identity: Identity) -> None:
        row = self._rows.pop(identity)
        self._values[row] = np.nan
        self._free.append(row)

    def advance(self, end: int) -> None:
        """Move to a later end; steps that no history reaches are left behind."""
        if end <= self.end:
            return
        self.end = end
        if end <= self._start + self._columns:
            return
        start = (end - self.steps) // HOUR_STEPS * HOUR_STEPS
        moved = min(start - self._start, self._columns)
        self._values[:, : self._columns - moved] = self._values[:, moved:].copy()
        self._values[:, self._columns - moved :] = np.nan
        self._start = start

    def resized(self, steps: int) -> "DemandGrid":
        """The same with room for a longer history."""
        found = DemandGrid(steps, self.end)
        ends = np.arange(self._start + 1, self.end + 1, dtype=np.float64) * STEP_SECONDS
        for identity, row in self._rows.items():
            found.add(identity)
            found.write(identity, ends, self._values[row, : ends.size].astype(np.float64))
        return found

    def write(self, identity: Identity, ends: Floats, values: Floats) -> None:
        """Note the highest values of steps, given by the times at which they end."""
        columns = np.round(ends / STEP_SECONDS).astype(np.int64) - 1 - self._start
        good = np.isfinite(values) & (values >= 0) & (columns >= 0) & (columns < self.end - self._start)
        self._values[self._rows[identity], columns[good]] = values[good]

    def history(self, identities: Sequence[Identity], steps: int) -> tuple[int, Floats]:
        """The first step and the values of at least the last `steps` steps, from a whole hour on."""
        first = max((self.end - steps) // HOUR_STEPS * HOUR_STEPS, self._start)
        rows = [self._rows[one] for one in identities]
        return first, self._values[rows, first - self._start : self.end - self._start].astype(np.float64)

    @property
    def _columns(self) -> int:
        return -(-self.steps // HOUR_STEPS) * HOUR_STEPS + HOUR_STEPS + _SPARE_STEPS


def _unseen(rows: int, columns: int) -> NDArray[np.float32]:
    return np.full((rows, columns), np.nan, dtype=np.float32)
