"""The number of pods on each node, equal in all replicas of the operator.

Contract: counted by delta, and published as of the start of each minute of the wall clock: replicas that see the same
changes publish the same numbers, whenever they started. Until the first minute of a process ends, the numbers are those
of its first query.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from spillway.domain.model.names import NodeName
from spillway.domain.model.owners import WITHOUT_REPLICAS, is_balloon
from spillway.domain.model.records import PodRecord
from spillway.domain.model.usage import add_count
from spillway.state.cluster import ClusterState

COUNTS_SECONDS: Final = 60.0


def counts(pod: PodRecord) -> bool:
    """Whether a pod counts on its node. Balloons leave any node at any time."""
    return pod.active and not is_balloon(pod)


def stays(pod: PodRecord) -> bool:
    """Whether no planned scale-down removes a pod that counts from its node, and it does not end by itself."""
    return not pod.policy and pod.owner_kind not in WITHOUT_REPLICAS


@dataclass(frozen=True, slots=True)
class Counts:
    """The numbers of one minute."""

    minute: float
    pods: Counter[NodeName]
    """Active ones, without balloons."""
    staying: Counter[NodeName]
    """The pods of these that no planned scale-down removes from their node, and that do not end by themselves."""


class NodeCounts:
    """The counts, which follow the pods."""

    def __init__(self, state: ClusterState, now: Callable[[], float]) -> None:
        self._now = now
        self._pods: Counter[NodeName] = Counter()
        self._staying: Counter[NodeName] = Counter()
        self._taken: Counts | None = None
        for pod in state.pods.values():
            self._add(pod, 1)
        self._unsubscribe = state.subscribe(PodRecord, self._changed)

    def close(self) -> None:
        """Stop following the state."""
        self._unsubscribe()

    def present(self) -> Counts:
        """The counts of this minute; the same object until the next one."""
        minute = self._now() // COUNTS_SECONDS
        if self._taken is None or self._taken.minute != minute:
            self._taken = Counts(minute, self._pods.copy(), self._staying.copy())
        return self._taken

    def _changed(self, old: PodRecord | None, new: PodRecord | None) -> None:
        if self._taken is not None:
            # All changes until now happened in the last minute, so this minute starts with them.
            self.present()
        if old is not None:
            self._add(old, -1)
        if new is not None:
            self._add(new, 1)

    def _add(self, pod: PodRecord, by: int) -> None:
        if pod.node and counts(pod):
            add_count(self._pods, pod.node, by)
            if stays(pod):
                add_count(self._staying, pod.node, by)
