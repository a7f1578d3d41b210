"""A walk over the pods of many nodes that takes each pod once, although pods change before the walk has reached them.

Contract: the walk may pause between two pods. Whoever follows the changes of pods calls `take` for a pod first: if the
walk has not reached it, the pod is still to be counted as it was before the change, and the walk leaves it out. The
walk can be begun again after an exception; it goes on with the pods that are left.
"""

from collections.abc import Iterable, Iterator

from spillway.domain.model.names import NodeName, PodUid
from spillway.domain.model.records import PodRecord
from spillway.state.cluster import ClusterState


class PodWalk:
    """The pods on these nodes, each of them once, in the order of the nodes."""

    def __init__(self, state: ClusterState, nodes: Iterable[NodeName] = ()) -> None:
        self._state = state
        # A set of all pods would hold the event loop while it is built, so only pods that were taken are remembered.
        self._taken: dict[NodeName, set[PodUid]] = {node: set() for node in nodes}
        """By node that the walk has not finished, the pods that were taken."""

    def __iter__(self) -> Iterator[PodRecord]:
        while self._taken:
            yield from self.on(next(iter(self._taken)))

    def on(self, node: NodeName) -> Iterator[PodRecord]:
        """The pods on this node that are left."""
        if node in self._taken:
            # A pod that changes during a pause is taken by then, so an old record is not used.
            yield from (pod for pod in tuple(self._state.pods_on(node)) if self.take(pod))
            self._taken.pop(node, None)

    def take(self, pod: PodRecord) -> bool:
        """Take a pod out of the walk; False if it is not a part of it, or was taken before."""
        taken = self._taken.get(pod.node)
        if taken is None or pod.uid in taken:
            return False
        taken.add(pod.uid)
        return True
