"""The weighted median across a few layers, for millions of columns at once.

Contract: the lower weighted median: the smallest value at which the weights up to it are at least half of those that
are there. Values are not negative, a nan has no weight, and a column of nan alone has the median nan. Values are
rounded at the 50th bit, because the last three bits carry the layer through the sorting network.
"""

from collections.abc import Sequence

import numpy as np

from spillway.domain.forecast.spec import Floats

MOST_LAYERS = 7
_LAYER_BITS = np.int64(7)
_MISSING = np.array(np.inf).view(np.int64) | _LAYER_BITS


def weighted_median(layers: Sequence[Floats], weights: Sequence[float]) -> Floats:
    """The median of each column.

    Raises:
        ValueError: there are no layers, more than seven, or not as many as weights.
    """
    if not 0 < len(layers) <= MOST_LAYERS or len(layers) != len(weights):
        raise ValueError(f"a median takes 1 to {MOST_LAYERS} layers and a weight for each of them")
    keys = []
    for index, layer in enumerate(layers):
        bits = np.ascontiguousarray(layer, dtype=np.float64).view(np.int64)
        keys.append(np.where(np.isfinite(layer), (bits & ~_LAYER_BITS) | np.int64(index), _MISSING))
    for turn in range(len(keys)):
        for left in range(turn % 2, len(keys) - 1, 2):
            low = np.minimum(keys[left], keys[left + 1])
            np.maximum(keys[left], keys[left + 1], out=keys[left + 1])
            keys[left] = low
    weight_of = np.zeros(MOST_LAYERS + 1)
    weight_of[: len(weights)] = weights
    found = [np.take(weight_of, key & _LAYER_BITS, mode="clip") for key in keys]
    half = sum(found[1:], start=found[0]) / 2
    median, below = keys[0], found[0]
    for key, weight in zip(keys[1:], found[1:], strict=True):
        median = np.where(below < half, key, median)
        below = below + weight
    return np.where(median >= _MISSING & ~_LAYER_BITS, np.nan, (median & ~_LAYER_BITS).view(np.float64))
