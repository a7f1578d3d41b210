"""The usage of each node, kept by delta, so that no query walks 150,000 pods.

Contract: a pod counts from being seen until it is finished (Succeeded, Failed) or gone, as the scheduler counts it; a
terminating pod still takes its room. Reading a sum costs the same whatever the cluster's size.
"""

from collections.abc import Collection, Mapping

from spillway.domain.model.host_ports import HostPort
from spillway.domain.model.names import NodeName
from spillway.domain.model.records import NodeRecord, PodRecord
from spillway.domain.model.usage import NO_AMOUNTS, NOTHING, Usage, add_amounts, add_count


class NodeUsage:
    """Usage per node."""

    def __init__(self) -> None:
        self._nodes: dict[NodeName, Usage] = {}
        self._extended: dict[NodeName, dict[str, int]] = {}
        """What pods request beside CPU and memory, by resource; of nodes with such pods."""
        self._ports: dict[NodeName, dict[HostPort, int]] = {}
        """How many pods take each port of the node; of nodes with such pods."""

    def on_node(self, node: NodeName) -> Usage:
        return self._nodes.get(node, NOTHING)

    def free_on(self, node: NodeRecord) -> Usage:
        """The free room of a node: allocatable less what its pods request."""
        return node.allocatable - self.on_node(node.name)

    def extended_free_on(self, node: NodeRecord, resource: str) -> int:
        """How much of a resource beside CPU and memory a node has left."""
        return node.extended.get(resource, 0) - self._extended.get(node.name, NO_AMOUNTS).get(resource, 0)

    def all_extended_free_on(self, node: NodeRecord) -> Mapping[str, int]:
        """How much a node has left of each resource beside CPU and memory that it offers."""
        if node.name not in self._extended:
            return node.extended
        return {name: self.extended_free_on(node, name) for name in node.extended}

    def ports_on(self, node: NodeName) -> Collection[HostPort]:
        """The ports of a node that its pods take."""
        return self._ports.get(node, {}).keys()

    def offers(self, node: NodeRecord, wanted: Mapping[str, int]) -> bool:
        """Whether a node has so much left of resources beside CPU and memory."""
        return all(self.extended_free_on(node, name) >= amount for name, amount in wanted.items())

    def replace(self, old: PodRecord | None, new: PodRecord | None) -> None:
        """Replace a pod; `old` is None if it was created, `new` is None if it was deleted."""
        if old is not None and new is not None and _counted_alike(old, new):
            return
        if old is not None and not old.finished:
            self._count(old, -1)
        if new is not None and not new.finished:
            self._count(new, 1)

    def _count(self, pod: PodRecord, sign: int) -> None:
        if not pod.node:
            return
        total = self.on_node(pod.node) + pod.requests * sign
        if total.pods:
            self._nodes[pod.node] = total
        else:
            self._nodes.pop(pod.node, None)
        if pod.extended:
            add_amounts(self._extended, pod.node, pod.extended, sign)
        if pod.host_ports:
            taken = self._ports.setdefault(pod.node, {})
            for port in pod.host_ports:
                add_count(taken, port, sign)
            if not taken:
                del self._ports[pod.node]


def _counted_alike(old: PodRecord, new: PodRecord) -> bool:
    return (
        old.node == new.node
        and old.finished == new.finished
        and (old.cpu_millis, old.memory_bytes) == (new.cpu_millis, new.memory_bytes)
        and old.extended == new.extended
    )
