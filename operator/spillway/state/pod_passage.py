"""What a change of a pod means for nodes: which one it has left, which one it has come to, and when.

Contract: pure. A pod is on a node from the moment it is bound until it is finished or gone, also while it terminates.
"""

from typing import NamedTuple

from spillway.domain.model.names import NodeName
from spillway.domain.model.records import PodRecord

_NOWHERE = NodeName("")


class PodPassage(NamedTuple):
    """One pod that changes the node it is on."""

    before: NodeName
    """Empty if it was on none."""
    after: NodeName
    """Empty if it is on none."""
    came_at: float
    """Unix seconds. One that is seen with its node for the first time may have run for long."""


def passage_of(old: PodRecord | None, new: PodRecord | None, now: float) -> PodPassage | None:
    """The change of a pod's node that was seen at `now`, Unix seconds; None if it stays on its node, or on none."""
    before = _NOWHERE if old is None or old.finished else old.node
    after = _NOWHERE if new is None or new.finished else new.node
    if before == after:
        return None
    came_at = max(new.started, new.created) if old is None and new is not None else now
    return PodPassage(before, after, came_at)
