"""Sums over pods that are asked for often, kept by delta: nobody walks 150,000 pods for a number.

Contract: a pod counts from being seen until it is finished (Succeeded, Failed) or gone, as the scheduler counts it; a
terminating pod still takes its room. Reading a sum costs the same whatever the cluster's size.
"""

from spillway.domain.model.names import NodeName
from spillway.domain.model.records import Phase, PodRecord
from spillway.domain.model.usage import Usage

_FINISHED = (Phase.SUCCEEDED, Phase.FAILED)


_NOTHING = Usage()


class Aggregates:
    """Usage per node."""

    def __init__(self) -> None:
        self._nodes: dict[NodeName, Usage] = {}

    def on_node(self, node: NodeName) -> Usage:
        return self._nodes.get(node, _NOTHING)

    def replace(self, old: PodRecord | None, new: PodRecord | None) -> None:
        """One pod changed, came (`old` is None) or went (`new` is None)."""
        if old is not None and new is not None and _counted_alike(old, new):
            return
        if old is not None and old.phase not in _FINISHED:
            self._count(old, -1)
        if new is not None and new.phase not in _FINISHED:
            self._count(new, 1)

    def _count(self, pod: PodRecord, sign: int) -> None:
        if not pod.node:
            return
        was = self.on_node(pod.node)
        pods = was.pods + sign
        if pods:
            cpu_millis = was.cpu_millis + sign * pod.cpu_millis
            self._nodes[pod.node] = Usage(pods, cpu_millis, was.memory_bytes + sign * pod.memory_bytes)
        else:
            self._nodes.pop(pod.node, None)


def _counted_alike(old: PodRecord, new: PodRecord) -> bool:
    return (
        old.node == new.node
        and (old.phase in _FINISHED) == (new.phase in _FINISHED)
        and (old.cpu_millis, old.memory_bytes) == (new.cpu_millis, new.memory_bytes)
    )
