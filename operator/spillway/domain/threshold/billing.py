"""The billed time of replicas on virtual or elastic nodes, for each level.

Contract: a level is billed for each period of the cycle in which it is needed without a break; the cycle closes on
itself, so a period over its end is one, and a level that is always needed never starts. Each period is billed for its
start-up too, and for the minimum at least. An elastic node stays for a while after its last pod; a break that is no
longer than that ends no period.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from spillway.domain.threshold.demand import Demand, Series


@dataclass(frozen=True, slots=True)
class Billing:
    """The billing rules of nodes, in seconds; periods shorter than a step do not show in the demand."""

    step_seconds: float
    minimum_seconds: float = 0.0
    startup_seconds: float = 0.0
    idle_seconds: float = 0.0
    """The time for which a node is kept, and paid for, after its last pod; counted in whole steps, rounded up."""

    def __post_init__(self) -> None:
        if self.step_seconds <= 0 or min(self.minimum_seconds, self.startup_seconds, self.idle_seconds) < 0:
            raise ValueError("a step must be longer than 0 seconds, and no time may be negative")

    @property
    def idle_steps(self) -> int:
        """The steps for which a node is kept after its last pod."""
        return math.ceil(self.idle_seconds / self.step_seconds)


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """The billed time of all levels of a demand: neighbouring levels that are needed at the same steps are one run."""

    tops: Series
    """The highest level of each run, ascending; the last is the peak."""
    shares: Series
    """Billed time over the cycle of each level of a run; 1 is the whole cycle, short periods may make it more."""

    @property
    def widths(self) -> Series:
        """The number of levels of each run."""
        return np.diff(self.tops, prepend=0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Billed:
    """A demand with the billed time of its levels; its size goes by the steps, however many replicas there are."""

    demand: Demand
    runs: Runs
    above: Series
    """Shares of the levels in all higher runs together, by run."""

    @classmethod
    def of(cls, demand: Demand, billing: Billing) -> Self:
        """Compute the billed time of one demand."""
        runs = billed_runs(demand, billing)
        beyond = np.cumsum((runs.shares * runs.widths)[::-1])[::-1]
        return cls(demand, runs, np.append(beyond[1:], 0.0))

    def at(self, threshold: int) -> float:
        """Core-hours that are billed in an hour for the levels above this threshold."""
        run = int(np.searchsorted(self.runs.tops, threshold, side="right"))
        if run >= self.runs.tops.size:
            return 0.0
        levels = self.runs.shares[run] * (self.runs.tops[run] - threshold) + self.above[run]
        return float(levels) * self.demand.cpu_cores


def billed(demands: Sequence[Demand], billing: Billing) -> tuple[Billed, ...]:
    """Each demand with its levels, in the sequence given."""
    return tuple(Billed.of(demand, billing) for demand in demands)


def billed_runs(demand: Demand, billing: Billing) -> Runs:
    """The billed share of the cycle for each run of levels that is ever needed.

    A level that starts often may be billed for longer than the one below it.
    """
    replicas = demand.whole_replicas()
    tops = np.unique(replicas[replicas > 0])
    needed = replicas[None, :] >= tops[:, None]
    for _ in range(min(billing.idle_steps, replicas.size)):
        needed |= np.roll(needed, 1, axis=1)
    cycle_seconds = replicas.size * billing.step_seconds
    starts = needed & ~np.roll(needed, 1, axis=1)
    seconds: Series = (needed.sum(axis=1) * billing.step_seconds + starts.sum(axis=1) * billing.startup_seconds).astype(
        np.float64
    )
    if billing.minimum_seconds > billing.step_seconds + billing.startup_seconds:
        level, missing = _short_periods(needed, starts, billing)
        seconds += np.bincount(level, weights=missing, minlength=needed.shape[0])
    return Runs(tops, seconds / cycle_seconds)


def _short_periods(
    needed: np.ndarray[tuple[int, int], np.dtype[np.bool_]],
    starts: np.ndarray[tuple[int, int], np.dtype[np.bool_]],
    billing: Billing,
) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], Series]:
    """The row of each period, and the seconds by which the period is shorter than what is billed at least."""
    steps = needed.shape[1]
    ends = needed & ~np.roll(needed, -1, axis=1)
    level, start = np.nonzero(starts)
    _, end = np.nonzero(ends)
    # A period over the end of the cycle ends before it starts: in its row the first end belongs to the last start.
    at = np.arange(level.size)
    counts = np.bincount(level, minlength=needed.shape[0])
    first = np.cumsum(counts) - counts
    wraps = np.zeros(needed.shape[0], dtype=np.int64)
    some = np.flatnonzero(counts)
    wraps[some] = end[first[some]] < start[first[some]]
    partner = first[level] + (at - first[level] + wraps[level]) % counts[level]
    length = (end[partner] - start) % steps + 1
    periods = length * billing.step_seconds + billing.startup_seconds
    return level.astype(np.int64), np.maximum(billing.minimum_seconds - periods, 0.0)
