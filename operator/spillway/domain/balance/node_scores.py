"""The score of a node for a new pod, by its real load: what the scheduler extender answers.

Contract: pure. A node without any load has the highest score that kube-scheduler takes from an extender, and the score
falls in equal steps to 0 at the target load. A pod that has come since the reading counts as using what it requests;
one that came before counts in part, as long as the smoothed load does not show it fully. The first measurement of a
node is not smoothed, so it shows the pods that came before it.
"""

import math
from collections.abc import Mapping
from typing import Final

import msgspec

from spillway.domain.balance.load import SMOOTHING_SECONDS, Weights
from spillway.domain.model.names import NodeName

HIGHEST: Final = 10
"""`MaxExtenderPriority` of kube-scheduler."""
MEASURED_SECONDS: Final = 30.0
"""A measurement is a mean over some seconds, and a pod takes some to start: one that came so much earlier is in it."""


class NodeLoads(msgspec.Struct, frozen=True):
    """One reading of the loads of the nodes of one ZonalBalance."""

    percent: Mapping[NodeName, float]
    at: float
    """Unix seconds."""
    stale_after: float
    """Seconds after which the loads count as unknown."""
    target: float
    """The load in percent at which a node has the score 0."""
    weights: Weights
    first: Mapping[NodeName, float] = {}
    """Unix seconds of the first measurement of each node that has not been measured for long."""

    def is_current(self, now: float) -> bool:
        """Whether the loads may still be acted on."""
        return now - self.at <= self.stale_after


def node_score(percent: float, target: float) -> int:
    """The score of a node with this load, 0 to `HIGHEST`."""
    return min(max(round(HIGHEST * (target - percent) / target), 0), HIGHEST)


def not_shown(came_at: float, read_at: float, first_at: float = -math.inf) -> float:
    """The part of a pod's use, 0 to 1, that a reading does not show yet; `first_at` is its node's first measurement."""
    if came_at <= first_at - MEASURED_SECONDS:
        return 0.0
    return math.exp(-max(read_at - max(came_at, first_at), 0.0) / SMOOTHING_SECONDS)
