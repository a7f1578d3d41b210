"""The score of a node for a new pod, by its real load: what the scheduler extender answers.

Contract: pure. A node without any load has the highest score that kube-scheduler takes from an extender, and the score
falls in equal steps to 0 at the target load. A pod that has come since the reading counts as using what it requests;
one that came before counts in part, as long as the smoothed load does not show it fully.
"""

import math
from collections.abc import Mapping
from typing import Final

import msgspec

from spillway.domain.balance.load import SMOOTHING_SECONDS, Weights
from spillway.domain.model.names import NodeName

HIGHEST: Final = 10
"""`MaxExtenderPriority` of kube-scheduler."""
COUNTED_SECONDS: Final = 5 * SMOOTHING_SECONDS
"""A pod that came so long before a reading shows in it, but for less than one percent."""


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

    def is_current(self, now: float) -> bool:
        """Whether the loads may still be acted on."""
        return now - self.at <= self.stale_after


def node_score(percent: float, target: float) -> int:
    """The score of a node with this load, 0 to `HIGHEST`."""
    return min(max(round(HIGHEST * (target - percent) / target), 0), HIGHEST)


def not_shown(came_at: float, read_at: float) -> float:
    """The part of a pod's use, 0 to 1, that a reading does not show yet."""
    return math.exp(-max(read_at - came_at, 0.0) / SMOOTHING_SECONDS)
