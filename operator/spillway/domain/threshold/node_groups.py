"""Groups of nodes with the same room for pods: what a plan has to fit into, and not only by its sum.

Contract: pure. Where memory is scarcer than cores on these nodes, a request counts by its part of the memory.
"""

import msgspec


class NodeGroup(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Nodes with the same room for pods that a plan places."""

    count: int
    cores: float
    """Allocatable on one of them, less the requests of pods that no policy governs."""
    gib: float = 0.0
    """Memory, as `cores`; where that of no node is known, pods are counted by their cores alone."""
    watched_cores: float = 0.0
    """Of these, requested by pods of policies in Recommend."""
    watched_gib: float = 0.0

    def times(self, count: int) -> "NodeGroup":
        """So many nodes like this one."""
        return msgspec.structs.replace(self, count=count)

    def without_watched(self) -> "NodeGroup":
        """The room that the pods of policies in Recommend leave."""
        return NodeGroup(
            count=self.count,
            cores=max(0.0, self.cores - self.watched_cores),
            gib=max(0.0, self.gib - self.watched_gib),
        )


def dominant_cores(cores: float, memory: float, *, of_cores: float, of_memory: float) -> float:
    """The cores of a request, or those that belong to its part of the memory if these are more.

    `of_cores` and `of_memory` are what nodes have of both; without memory the cores alone count.
    """
    return max(cores, memory * of_cores / of_memory if of_memory > 0 else 0.0)
