"""The back-off of repeated tries: how long to wait after a number of failures in a row.

Contract: pure. The first wait is `first`, and each further failure doubles it, up to `longest`. Who wants jitter or a
counter adds it (`kube/pauses.py`).
"""

import math
from typing import Final

_MOST_DOUBLINGS: Final = 64
"""Bounds the power, so that a counter that grows for ever does not overflow; 2**64 seconds are longer than any wait."""


def backoff_seconds(failures: int, *, first: float, longest: float = math.inf) -> float:
    """The wait in seconds after this many failures; none or one give `first`."""
    return min(longest, first * 2.0 ** min(max(failures - 1, 0), _MOST_DOUBLINGS))
