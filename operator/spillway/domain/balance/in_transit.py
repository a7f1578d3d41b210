"""The loads of nodes as readings will show them: with the pods that have come and gone lately.

Contract: pure. Readings are smoothed, so a pod that came a minute ago shows to two thirds, and one that left as long
ago still counts for a third. Without this a plan would fill a node to which other pods have just come.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from spillway.domain.balance.load import Loads
from spillway.domain.balance.node_scores import not_shown
from spillway.domain.model.names import NodeName


@dataclass(frozen=True, slots=True)
class Transit:
    """A pod that has come to a node, or left it."""

    node: NodeName
    at: float
    """Unix seconds."""
    points: float
    """What it changes of the load of the node, in percentage points; negative for one that has left."""


def expected_loads(loads: Loads, transits: Iterable[Transit]) -> Mapping[NodeName, float]:
    """The loads of a reading, in percent, with the part of these changes that it does not show; never below 0."""
    found = dict(loads.percent)
    for one in transits:
        if one.node in found:
            found[one.node] += one.points * not_shown(one.at, loads.at, loads.first.get(one.node, -math.inf))
    return {name: max(load, 0.0) for name, load in found.items()}
