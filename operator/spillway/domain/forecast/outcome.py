"""The outcome of decisions: what demand was not served, for how long, and what capacity that took.

Contract: a decision is in force a start-up after it was made. A sample of demand above the capacity of its step is
short by the difference; samples without a known capacity are left out.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spillway.domain.forecast.spec import Floats

_ROUNDING = 1 + 1e-9


@dataclass(frozen=True, slots=True)
class CapacityOutcome:
    """What a capacity was worth."""

    mean_capacity: float
    unmet_percent: float
    """The demand that was not served, of all demand."""
    under_percent: float
    """The samples that were short, of all samples."""
    longest_samples: int
    """The longest run of samples that were short."""


def in_force(decided: Floats, first: int) -> Floats:
    """The capacity of each step, by what was decided at each origin; nan for the first steps."""
    capacity = np.full(decided.size - 1, np.nan)
    capacity[first:] = decided[: max(decided.size - 1 - first, 0)]
    return capacity


def outcome_of(demand: Floats, step: NDArray[np.int64], capacity: Floats) -> CapacityOutcome:
    """The outcome for samples of demand, each in a step of the capacity."""
    there = capacity[step]
    known = np.isfinite(there) & np.isfinite(demand)
    wanted, there = demand[known], there[known]
    total = float(wanted.sum())
    short = wanted > there * _ROUNDING
    unmet = float((wanted - there)[short].sum())
    return CapacityOutcome(
        mean_capacity=float(np.nanmean(capacity)) if np.isfinite(capacity).any() else 0.0,
        unmet_percent=100 * unmet / total if total else 0.0,
        under_percent=100 * float(short.mean()) if short.size else 0.0,
        longest_samples=_longest_run(short),
    )


def scale_for(decided: Floats, mean: float) -> float:
    """The factor that gives what was decided this mean; 0 where nothing was."""
    present = float(np.nanmean(decided)) if np.isfinite(decided).any() else 0.0
    return mean / present if present > 0 else 0.0


def _longest_run(flags: NDArray[np.bool_]) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))
