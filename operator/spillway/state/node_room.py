"""The room for pods on some nodes: the nodes that a pod may run on and that have free all that it requests.

Contract: one answer for all that look for such a node. What is promised to a pod is not promised again, until a new
`FreeNodes` is made from the state. Other pods (affinity, topology spread) are another question (`nodes_left`).
"""

from collections.abc import Collection, Sequence
from functools import cached_property

from spillway.domain.fit.node_fit import NodeFit, constraints
from spillway.domain.fit.requests import extended_requests
from spillway.domain.fit.room import NodeRoom
from spillway.domain.fit.volume_reach import VolumeReach, reaching
from spillway.domain.model.documents import Json
from spillway.domain.model.host_ports import HostPort, first_taken, host_ports
from spillway.domain.model.names import NodeName
from spillway.domain.model.records import NodeRecord
from spillway.domain.model.usage import Usage, add_amounts
from spillway.state.cluster import ClusterState


class PodFit:
    """The nodes on which pods of one spec may run, and what they take of a node beside CPU and memory."""

    def __init__(self, spec: Json, volumes: Sequence[VolumeReach] = ()) -> None:
        self.spec = spec
        self._node_fit = NodeFit(spec)
        self._volumes = volumes
        self.extended = extended_requests(spec)
        self.ports = host_ports(spec)

    @cached_property
    def key(self) -> bytes:
        """All that decides, apart from volumes: pods with equal keys may run on the same nodes."""
        return constraints(self.spec)

    def admits(self, node: NodeRecord) -> bool:
        """Whether the pod may run on this node, which reaches its volumes."""
        return self._node_fit.admits(node) and not reaching(self._volumes, (node,))[1]


class FreeNodes:
    """The room of some nodes, from which promises are taken off."""

    def __init__(self, state: ClusterState, room: NodeRoom) -> None:
        self._state = state
        self._room = room
        self._promised: dict[NodeName, dict[str, int]] = {}
        """What was promised beside CPU and memory."""
        self._promised_ports: dict[NodeName, list[HostPort]] = {}

    def find(self, pod: PodFit, request: Usage, *, among: Collection[NodeName] | None = None) -> NodeName | None:
        """A node for one more such pod, one `among` these (None: any); None where there is none."""

        def admits(name: NodeName) -> bool:
            node = self._state.nodes.get(name) if among is None or name in among else None
            return node is not None and pod.admits(node) and self._offers(node, pod)

        return self._room.find(request, admits)

    def take(self, pod: PodFit, request: Usage, *, among: Collection[NodeName] | None = None) -> bool:
        """Promise a node to one more such pod, one `among` these (None: any); False where there is none."""
        node = self.find(pod, request, among=among)
        if node is None:
            return False
        self._room.take(node, request)
        if pod.extended:
            add_amounts(self._promised, node, pod.extended, 1)
        if pod.ports:
            self._promised_ports.setdefault(node, []).extend(pod.ports)
        return True

    def _offers(self, node: NodeRecord, pod: PodFit) -> bool:
        usage = self._state.node_usage
        taken = (*usage.ports_on(node.name), *self._promised_ports.get(node.name, ())) if pod.ports else ()
        if first_taken(pod.ports, taken) is not None:
            return False
        promised = self._promised.get(node.name, {})
        wanted = {name: amount + promised.get(name, 0) for name, amount in pod.extended.items()}
        return usage.offers(node, wanted)
