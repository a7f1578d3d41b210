"""Maxima and means over spans of steps, for many series at once.

Contract: origin `t` is the time at which steps 0 to t-1 are known; a series of T steps has T + 1 origins, and the last
one is the present. What an origin cannot know, or no step tells, is nan.
"""

import numpy as np

from spillway.domain.forecast.spec import Floats


def maximum_ahead(values: Floats, first: int, end: int) -> Floats:
    """At each origin t the highest value of steps t+first to t+end-1; nan where that span is not complete."""
    steps = values.shape[1]
    found = np.full((values.shape[0], steps + 1), np.nan)
    if steps >= end:
        found[:, : steps - end + 1] = _sliding_maximum(values, end - first)[:, first:]
    return found


def maximum_behind(values: Floats, length: int) -> Floats:
    """At each origin the highest of the last `length` steps, of fewer at the beginning."""
    padded = np.concatenate([np.full((values.shape[0], length), np.nan), values], axis=1)
    return _sliding_maximum(padded, length, ignore_nan=True)


def mean_behind(values: Floats, length: int) -> Floats:
    """At each origin the mean of the last `length` steps, of those that are known."""
    known = np.isfinite(values)
    sums, counts = _sum_behind(np.where(known, values, 0.0), length), _sum_behind(known.astype(np.float64), length)
    with np.errstate(invalid="ignore"):
        return np.asarray(sums / counts)


def _sum_behind(values: Floats, length: int) -> Floats:
    """The sum of the last `length` steps, exact also after a value that was far larger."""
    blocks = -(-values.shape[1] // length)
    padded = np.zeros((values.shape[0], (blocks + 1) * length))
    padded[:, length : length + values.shape[1]] = values
    by_block = padded.reshape(values.shape[0], blocks + 1, length)
    # A span is the end of one block and the beginning of the next.
    begun = by_block.cumsum(axis=2)
    left = by_block[:, :, ::-1].cumsum(axis=2)[:, :, ::-1]
    found = np.zeros((values.shape[0], values.shape[1] + 1))
    sums = begun[:, 1:].copy()
    sums[:, :, :-1] += left[:, :-1, 1:]
    found[:, 1:] = sums.reshape(values.shape[0], blocks * length)[:, : values.shape[1]]
    return found


def _sliding_maximum(values: Floats, length: int, *, ignore_nan: bool = False) -> Floats:
    """The maximum of each span of `length` columns, by doubling."""
    larger = np.fmax if ignore_nan else np.maximum
    found, have = values, 1
    while have < length:
        add = min(have, length - have)
        found = larger(found[:, : found.shape[1] - add], found[:, add:])
        have += add
    return found
