"""What handlers ask of the cluster's state many times a second, remembered until the state or a policy changes.

Contract: answers are those of `Governance` and `emptying_order` for the present state; remembering is never seen but in
time. A node's place is kept until that node's record is replaced or the policies change. The emptying order looks at
all nodes, so it is made anew at most once in `order_seconds` after a node changed (one that joined since is simply not
in it yet), and once in `counts_seconds` because pods came and went.
"""

from collections.abc import Callable, Mapping
from typing import Final

from spillway.domain.governance import Governance
from spillway.domain.names import ZONE_LABEL, Mode, NodeName, Tier, Zone
from spillway.domain.node_order import emptying_order
from spillway.domain.places import NodePlace
from spillway.domain.records import NodeRecord, PodRecord
from spillway.kube.state import ClusterState
from spillway.webhooks.deadline import Clock

UNKNOWN: Final = NodePlace(tier=Tier.FIXED, zone=Zone(""))
"""Where a pod is taken to be whose node is not known: it is kept longest, so nothing is lost by mistake."""

_LEAVE_WITH_THEIR_NODE: Final = frozenset({"DaemonSet", "Node", "Job"})
"""Owners whose pods never keep a node from becoming empty for long."""


class Surroundings:
    """Places of nodes and the emptying order, by policy."""

    def __init__(
        self,
        state: ClusterState,
        governance: Callable[[], Governance],
        clock: Clock,
        *,
        order_seconds: float = 1.0,
        counts_seconds: float = 60.0,
    ) -> None:
        self.state = state
        self._governance = governance
        self._clock = clock
        self._order_seconds = order_seconds
        self._counts_seconds = counts_seconds
        self._compiled: Governance | None = None
        self._has_enforcing_policy = False
        self._places: dict[tuple[str, NodeName, str], tuple[NodeRecord, NodePlace]] = {}
        self._orders: dict[str, tuple[float, Mapping[NodeName, int]]] = {}
        self._stale: set[str] = set()
        self._unsubscribe = state.subscribe(NodeRecord, self._node_changed)

    def close(self) -> None:
        self._unsubscribe()

    @property
    def governance(self) -> Governance:
        """The present policies; what was remembered under others is forgotten."""
        compiled = self._governance()
        if compiled is not self._compiled:
            self._compiled = compiled
            self._places.clear()
            self._orders.clear()
            policies = compiled.policies.values()
            self._has_enforcing_policy = any(policy.spec.mode.value == Mode.ENFORCE.value for policy in policies)
        return compiled

    @property
    def has_policy(self) -> bool:
        return bool(self.governance.policies)

    @property
    def has_enforcing_policy(self) -> bool:
        """Whether any policy may write at all."""
        return bool(self.governance.policies) and self._has_enforcing_policy

    def place(self, policy: str, node: NodeRecord, *, zone_key: str = ZONE_LABEL) -> NodePlace:
        """Where the node stands for the policy."""
        governance = self.governance
        known = self._places.get((policy, node.name, zone_key))
        if known is not None and known[0] is node:
            return known[1]
        place = governance.place(policy, node, zone_key=zone_key)
        self._places[policy, node.name, zone_key] = (node, place)
        return place

    def place_of(self, policy: str, name: NodeName, *, zone_key: str = ZONE_LABEL) -> NodePlace:
        """Where the node of this name stands; `UNKNOWN` where there is none."""
        node = self.state.nodes.get(name)
        return UNKNOWN if node is None else self.place(policy, node, zone_key=zone_key)

    def order(self, policy: str) -> Mapping[NodeName, int]:
        """The order in which the policy's elastic nodes are to become empty; the highest number empties first."""
        if policy not in self.governance.policies:
            return {}
        known = self._orders.get(policy)
        now = self._clock()
        lasts = self._order_seconds if policy in self._stale else self._counts_seconds
        if known is not None and now - known[0] < lasts:
            return known[1]
        nodes = self.state.nodes
        places = {name: self.place(policy, node) for name, node in nodes.items()}
        elastic = [node for node in nodes.values() if places[node.name].tier is Tier.ELASTIC]
        pods = {node.name: [pod for pod in self.state.pods_on(node.name) if pod.active] for node in elastic}
        order = emptying_order(
            elastic,
            places,
            {name for name, on_it in pods.items() if any(map(_stays, on_it))},
            pods={name: len(on_it) for name, on_it in pods.items()},
        )
        self._orders[policy] = (now, order)
        self._stale.discard(policy)
        return order

    def _node_changed(self, old: NodeRecord | None, new: NodeRecord | None) -> None:
        if new is None and old is not None:
            for key in [key for key in self._places if key[1] == old.name]:
                del self._places[key]
        if old is None or new is None or old.labels != new.labels:
            self._stale.update(self._orders)


def _stays(pod: PodRecord) -> bool:
    """Whether no scale-down that we steer takes the pod from its node, nor does it end by itself."""
    return not pod.policy and pod.owner_kind not in _LEAVE_WITH_THEIR_NODE
