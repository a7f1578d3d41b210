"""The mixture: the calibrated candidates, weighted by how well each has forecast recently, as a geometric mean.

Contract: the weight of a candidate is exp(-3 (loss / best - 1)), where its loss is the pinball loss of completed spans
with a half-life of a day, for each quantile by itself. Nothing is chosen for good: when a regime changes, the weights
follow within hours. Wide spans overlap, so the samples of the calibration tell their losses; of narrow ones every
origin counts, because a jump of one step is in few of them.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from spillway.domain.forecast.calibration import STRIDE, completed
from spillway.domain.forecast.spec import HOUR_STEPS, Flags, Floats

_SHARPNESS: Final = 3.0
_SKILL: Final = 0.5
_DECAY: Final = 0.5 ** (1 / 24)
"""What is left of a loss after an hour."""


def loss_stride(span: int) -> int:
    """One of so many origins tells its loss, for spans of so many steps."""
    return STRIDE if span >= STRIDE else 1


def pinball(actual: Floats, forecast: Floats, quantile: Floats) -> Floats:
    """The loss that a forecast of this quantile makes smallest."""
    over = forecast - actual
    return np.maximum((1 - quantile) * over, -quantile * over)


def recent_losses(losses: Floats, hours: int, end: int, stride: int) -> Floats:
    """At each hour the mean of the losses of completed samples, the older the less; nan before there are any.

    `losses` is (candidate, row, quantile, sample), with nan where nothing was seen, for all candidates alike; the
    answer has hours in place of samples.
    """
    known = completed(hours, end, stride)
    valid = np.isfinite(losses[0, :, 0])
    # Hours come first here, because they are added up one after the other.
    by_sample = np.where(valid[:, None], losses, 0.0).transpose(3, 0, 1, 2)
    sums = _faded(_by_hour(by_sample, known))
    counts = _faded(_by_hour(valid.T.astype(np.float64), known))
    with np.errstate(invalid="ignore"):
        return np.asarray((sums / counts[:, None, :, None]).transpose(1, 2, 3, 0))


def _by_hour(samples: Floats, known: NDArray[np.int64]) -> Floats:
    """The sum of the samples (the first axis) that each hour learns: from `known` of the hour before to its own."""
    total = np.zeros((known.size, *samples.shape[1:]))
    begin = np.concatenate([[0], known[:-1]])
    for offset in range(int((known - begin).max(initial=0))):
        learnt = np.flatnonzero(begin + offset < known)
        total[learnt] += samples[begin[learnt] + offset]
    return total


def _faded(by_hour: Floats) -> Floats:
    for hour in range(1, by_hour.shape[0]):
        by_hour[hour] += _DECAY * by_hour[hour - 1]
    return by_hour


def weights_of(losses: Floats) -> Floats:
    """The weights of the candidates (the first axis), which add up to 1; equal ones where nothing is known."""
    best = losses.min(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        worse = np.where(losses > best, losses / best - 1, 0.0)
    raw = np.exp(-_SHARPNESS * worse)
    return np.asarray(raw / raw.sum(axis=0))


def skilful(losses: Floats, reference: int) -> Flags:
    """Where the best candidate has less than half of the loss of the one that is the reference (row, hour).

    `losses` is (candidate, row, quantile, hour); the quantile in the middle counts.
    """
    here = losses[:, :, losses.shape[2] // 2]
    return np.asarray(here.min(axis=0) < _SKILL * here[reference])


def mixed(logs: Floats, shifts: Floats, weights: Floats) -> Floats:
    """The logarithm of the mixture at each origin (row, quantile, origin).

    `logs` are the candidates (candidate, row, origin), `shifts` their calibration and `weights` their shares
    (candidate, row, quantile, hour).
    """
    candidates, rows, origins = logs.shape
    quantiles, hours = shifts.shape[2:]
    padded = np.zeros((rows, candidates, hours * HOUR_STEPS))
    padded[:, :, :origins] = logs.transpose(1, 0, 2)
    blocks = padded.reshape(rows, candidates, hours, HOUR_STEPS).transpose(0, 2, 1, 3)
    found = np.empty((rows, quantiles, hours, HOUR_STEPS))
    np.matmul(weights.transpose(1, 3, 2, 0), blocks, out=found.transpose(0, 2, 1, 3))
    found += (weights * shifts).sum(axis=0)[..., None]
    return found.reshape(rows, quantiles, hours * HOUR_STEPS)[:, :, :origins]
