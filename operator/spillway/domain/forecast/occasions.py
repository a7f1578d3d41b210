"""Occasions: days that a user knows to be unlike the others, such as a holiday or a sale.

Contract: an occasion says that demand will be like that of a named earlier day, times a factor. While the span of a
forecast overlaps it, what the occasion expects replaces the forecast for that part of the span; what is served is never
less than the present demand. An occasion that is over is left out of the history, so that it teaches the forecaster
nothing about ordinary days.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from spillway.domain.forecast.grid import filled
from spillway.domain.forecast.spec import DAY_STEPS, STEP_SECONDS, Floats, ForecastSpec


@dataclass(frozen=True, slots=True)
class Occasion:
    """A time at which demand is like that of another day.

    Raises:
        ValueError: it ends before it begins, or its factor or its distance makes no sense.
    """

    begin: float
    """Unix seconds; the first moment."""
    end: float
    """Unix seconds; the first moment after it."""
    like_days_before: int = 7
    """The day that it is like, counted back from each of its days: 7 is the same day of the week before."""
    factor: float = 1.0
    """The multiple of that day's demand."""

    def __post_init__(self) -> None:
        if not self.begin < self.end:
            raise ValueError("an occasion must begin before it ends")
        if self.like_days_before < 1:
            raise ValueError(f"an occasion is like a day before it, at least 1 day, not {self.like_days_before}")
        if not (math.isfinite(self.factor) and self.factor >= 0):
            raise ValueError(f"the factor of an occasion must be a number from 0, not {self.factor}")


def without(values: Floats, occasions: Iterable[Occasion], *, start: float) -> Floats:
    """The history with the steps of these occasions left out; `start` is the begin of its first step."""
    found = values.copy()
    for one in occasions:
        first = max(int((one.begin - start) // STEP_SECONDS), 0)
        end = max(math.ceil((one.end - start) / STEP_SECONDS), 0)
        found[:, first:end] = np.nan
    return found


def served_with(
    served: Floats, values: Floats, occasions: Sequence[Occasion], spec: ForecastSpec, *, start: float
) -> Floats:
    """The present forecast of each row, with what the occasions in its span expect.

    `values` is the whole history, with what earlier occasions brought. A day that the history does not reach back to
    changes nothing.
    """
    whole, _ = filled(values)
    now = whole.shape[1]
    expected = np.full(served.shape, np.nan)
    uncovered = np.ones(spec.end - spec.first, dtype=np.bool_)
    for one in occasions:
        for offset in range(spec.first, spec.end):
            at = start + (now + offset) * STEP_SECONDS
            source = now + offset - one.like_days_before * DAY_STEPS
            if one.begin < at + STEP_SECONDS and at < one.end and 0 <= source < now:
                uncovered[offset - spec.first] = False
                expected = np.fmax(expected, whole[:, source] * one.factor)
    present = whole[:, -1] if now else np.full(served.shape, np.nan)
    if uncovered.any():
        expected = np.fmax(expected, served)
    return np.where(np.isfinite(expected), np.fmax(expected, present), served)
