"""The scalings of workloads: how often their number of replicas changes, and which scale-downs were needless.

Contract: pure. Steps down that follow each other without one up in between are one scale-down, which ends with the last
of them; it was needless if the workload is scaled up within `NEEDLESS_SECONDS`.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from spillway.domain.forecast.spec import STEP_SECONDS
from spillway.simulate.hpa import Ints

NEEDLESS_SECONDS: Final = 900.0


def scale_downs(steps: Sequence[tuple[float, int]]) -> tuple[int, int]:
    """The scale-downs of one workload, and how many of them were needless; `steps` are times and replicas from then."""
    downs = needless = 0
    last: float | None = None
    for (_, before), (at, after) in pairwise(steps):
        if after < before:
            downs += last is None
            last = at
        else:
            needless += last is not None and at - last <= NEEDLESS_SECONDS
            last = None
    return downs, needless


def scalings(replicas: Ints) -> tuple[int, int]:
    """The changes of the replicas of all workloads (workload, step), and the needless scale-downs among them."""
    changes = needless = 0
    for row in replicas:
        changed = np.flatnonzero(np.diff(row)) + 1
        changes += changed.size
        at = [0, *changed.tolist()]
        needless += scale_downs([(step * float(STEP_SECONDS), int(row[step])) for step in at])[1]
    return changes, needless
