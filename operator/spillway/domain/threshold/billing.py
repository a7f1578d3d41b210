"""The billed time of replicas on virtual nodes: for each level, run by run.

Contract: a run is a stretch of the cycle in which a level is needed without a break; the cycle closes on itself, so one
over its end is one run, and a level that is always needed never starts. Each run is billed from the pod's creation, so
for its start-up too, and for the minimum at least.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from spillway.domain.threshold.demand import Demand, Series


@dataclass(frozen=True, slots=True)
class Billing:
    """The billing rules of virtual nodes, in seconds; runs shorter than a step do not show in the demand."""

    step_seconds: float
    minimum_seconds: float = 0.0
    startup_seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.step_seconds <= 0 or self.minimum_seconds < 0 or self.startup_seconds < 0:
            raise ValueError("a step must be longer than 0 seconds, minimum and start-up must not be negative")


@dataclass(frozen=True, slots=True, eq=False)
class Billed:
    """A demand with the billed time of its levels."""

    demand: Demand
    shares: Series
    """Billed time over the cycle for each level from the first; 1 is the whole cycle, short runs may make it more."""
    beyond: Series
    """Core-hours billed in an hour, by threshold: entry k with k replicas on owned nodes."""

    @classmethod
    def of(cls, demand: Demand, billing: Billing) -> Self:
        """Compute the billed time of one demand."""
        shares = billed_shares(demand, billing)
        beyond = np.append(np.cumsum(shares[::-1])[::-1], 0.0) * demand.cpu_cores
        return cls(demand, shares, beyond)

    def at(self, threshold: int) -> float:
        """Core-hours that are billed in an hour on virtual nodes with this threshold."""
        return float(self.beyond[min(threshold, self.beyond.size - 1)])


def billed(demands: Sequence[Demand], billing: Billing) -> tuple[Billed, ...]:
    """Each demand with its levels, in the sequence given."""
    return tuple(Billed.of(demand, billing) for demand in demands)


def billed_shares(demand: Demand, billing: Billing) -> Series:
    """The billed share of the cycle for each level that is ever needed, the first level first.

    A level that starts often may be billed for longer than the one below it.
    """
    replicas = demand.whole_replicas()
    # Neighbouring levels that are needed at the same steps are billed alike: one row for each such run of levels.
    tops = np.unique(replicas[replicas > 0])
    needed = replicas[None, :] >= tops[:, None]
    cycle_seconds = replicas.size * billing.step_seconds
    starts = needed & ~np.roll(needed, 1, axis=1)
    seconds: Series = (needed.sum(axis=1) * billing.step_seconds + starts.sum(axis=1) * billing.startup_seconds).astype(
        np.float64
    )
    if billing.minimum_seconds > billing.step_seconds + billing.startup_seconds:
        level, missing = _short_runs(needed, starts, billing)
        seconds += np.bincount(level, weights=missing, minlength=needed.shape[0])
    seconds /= cycle_seconds
    shares: Series = np.repeat(seconds, np.diff(tops, prepend=0.0).astype(np.int64))
    return shares


def _short_runs(
    needed: np.ndarray[tuple[int, int], np.dtype[np.bool_]],
    starts: np.ndarray[tuple[int, int], np.dtype[np.bool_]],
    billing: Billing,
) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], Series]:
    """The level of each run, and the seconds by which the run is shorter than what is billed at least."""
    steps = needed.shape[1]
    ends = needed & ~np.roll(needed, -1, axis=1)
    level, start = np.nonzero(starts)
    _, end = np.nonzero(ends)
    # A run over the end of the cycle ends before it starts: in its level the first end belongs to the last start.
    at = np.arange(level.size)
    counts = np.bincount(level, minlength=needed.shape[0])
    first = np.cumsum(counts) - counts
    wraps = np.zeros(needed.shape[0], dtype=np.int64)
    some = np.flatnonzero(counts)
    wraps[some] = end[first[some]] < start[first[some]]
    partner = first[level] + (at - first[level] + wraps[level]) % counts[level]
    length = (end[partner] - start) % steps + 1
    runs = length * billing.step_seconds + billing.startup_seconds
    return level.astype(np.int64), np.maximum(billing.minimum_seconds - runs, 0.0)
