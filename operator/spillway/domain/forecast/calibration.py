"""Calibration: by how much each candidate has to be raised so that it is exceeded as rarely as wanted (conformal).

Contract: every second hour the quantile of the logarithm of actual over forecast is taken, over the spans that ended
within the last five days. Spans overlap, so every seventh origin is sample enough; seven does not divide an hour or a
day, so every phase of both is among them.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spillway.domain.forecast.spec import DAY_STEPS, HOUR_STEPS, Floats

STRIDE: Final = 7
"""One of so many origins is a sample."""
SAMPLES: Final = 5 * DAY_STEPS // STRIDE
"""The samples of five days."""
EVERY_HOURS: Final = 2
"""A calibration is good for so many hours; five days of samples change little in one."""
LEAST_SAMPLES: Final = 12
"""With fewer a candidate stays as it is."""
LARGEST_SHIFT: Final = 7.0
"""A candidate is raised or lowered by a factor of e^7, about 1,100, at most: after zeros a ratio may be anything."""


def hours_of(steps: int) -> int:
    """How many models a history of so many steps has: one for each begun hour, that of the present included."""
    return steps // HOUR_STEPS + 1


def sampled(origins: Floats, stride: int = STRIDE) -> Floats:
    """The samples of these origins, which are on the last axis."""
    return origins[..., ::stride]


def sample_hours(samples: int, stride: int = STRIDE) -> NDArray[np.int64]:
    """The hour whose model was in use at each sample."""
    return np.arange(samples, dtype=np.int64) * stride // HOUR_STEPS


def completed(hours: int, end: int, stride: int = STRIDE) -> NDArray[np.int64]:
    """How many samples have ended by each hour; a span ends `end` steps after its origin."""
    return np.maximum((np.arange(hours, dtype=np.int64) * HOUR_STEPS - end) // stride + 1, 0)


def rank_of(quantiles: Floats, count: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of each quantile among so many values in order: that which one value more exceeds as rarely."""
    wanted = np.ceil(quantiles * (count + 1)).astype(np.int64) - 1
    return np.clip(wanted, 0, np.maximum(count - 1, 0))


def quantiles_of(ratios: Floats, quantiles: Sequence[float], hours: int, end: int) -> Floats:
    """For each hour the quantiles of the completed samples (row, quantile, hour); 0 with too few of them.

    `ratios` has a row for each series and a column for each sample; nan is no sample.
    """
    rows, samples = ratios.shape
    padded = np.full((rows, SAMPLES + samples), np.nan, dtype=np.float32)
    padded[:, SAMPLES:] = np.clip(ratios, -LARGEST_SHIFT, LARGEST_SHIFT)
    known = completed(hours, end)[::EVERY_HOURS]
    # What ends before sample n begins at column n of the padded rows. Sorting puts nan last.
    ordered = np.take(padded, known[:, None] + np.arange(SAMPLES), axis=1)
    ordered.sort(axis=2)
    total = np.zeros((rows, SAMPLES + samples + 1), dtype=np.int64)
    np.cumsum(np.isfinite(padded), axis=1, out=total[:, 1:])
    count = (total[:, known + SAMPLES] - total[:, known])[:, None, :]
    position = rank_of(np.asarray(quantiles)[:, None], count)
    begin = (np.arange(rows)[:, None, None] * known.size + np.arange(known.size)) * SAMPLES
    found = np.where(count >= LEAST_SAMPLES, np.take(ordered, begin + position), 0.0)
    return np.repeat(found, EVERY_HOURS, axis=2)[:, :, :hours].astype(np.float64)
