"""Where nodes stand for each policy, and the order in which elastic nodes empty, remembered until something changes.

Contract: answers are those of `Governance` and `emptying_order` for the present state; only the time that they take
shows that they are remembered. A node's place is kept until that node's record is replaced or the policies change. The
emptying order looks at all nodes, so it is computed at most once in `order_seconds` after a node changed (a node that
joined since is not in it yet), and at every full minute because pods came and went: at the same time in every replica,
so that whichever is asked empties the same nodes.
"""

from collections.abc import Callable, Mapping

from spillway.domain.model.names import ZONE_LABEL, NodeName, Tier
from spillway.domain.model.places import UNKNOWN, NodePlace
from spillway.domain.model.records import NodeRecord
from spillway.domain.policies.governance import Governance
from spillway.domain.scale_down.node_order import emptying_order
from spillway.state.cluster import ClusterState
from spillway.state.node_counts import Counts, NodeCounts


class NodePlaces:
    """Places of nodes and the emptying order, by policy."""

    def __init__(
        self,
        state: ClusterState,
        governance: Callable[[], Governance],
        clock: Callable[[], float],
        *,
        now: Callable[[], float],
        order_seconds: float = 1.0,
    ) -> None:
        self.state = state
        self._governance = governance
        self._clock = clock
        self._order_seconds = order_seconds
        self._compiled: Governance | None = None
        self._has_enforcing_policy = False
        self._places: dict[tuple[str, NodeName, str], tuple[NodeRecord, NodePlace]] = {}
        self._counts = NodeCounts(state, now)
        self._orders: dict[str, tuple[float, Counts, Mapping[NodeName, int]]] = {}
        self._stale: set[str] = set()
        self._unsubscribe = state.subscribe(NodeRecord, self._node_changed)

    def close(self) -> None:
        self._counts.close()
        self._unsubscribe()

    @property
    def governance(self) -> Governance:
        """The present policies; cached answers under earlier policies are dropped."""
        compiled = self._governance()
        if compiled is not self._compiled:
            self._compiled = compiled
            self._places.clear()
            self._orders.clear()
            policies = compiled.policies.values()
            self._has_enforcing_policy = any(policy.spec.enforced for policy in policies)
        return compiled

    @property
    def has_policy(self) -> bool:
        return bool(self.governance.policies)

    @property
    def has_enforcing_policy(self) -> bool:
        """Whether any policy is enforced."""
        return bool(self.governance.policies) and self._has_enforcing_policy

    def place(self, policy: str, node: NodeRecord, *, zone_key: str = ZONE_LABEL) -> NodePlace:
        """The place of the node for the policy."""
        governance = self.governance
        known = self._places.get((policy, node.name, zone_key))
        if known is not None and known[0] is node:
            return known[1]
        place = governance.place(policy, node, zone_key=zone_key)
        self._places[policy, node.name, zone_key] = (node, place)
        return place

    def place_of(self, policy: str, name: NodeName, *, zone_key: str = ZONE_LABEL) -> NodePlace:
        """The place of the node of this name; `UNKNOWN` if there is none."""
        node = self.state.nodes.get(name)
        return UNKNOWN if node is None else self.place(policy, node, zone_key=zone_key)

    def order(self, policy: str) -> Mapping[NodeName, int]:
        """The order in which the policy's elastic nodes are to become empty; the highest number empties first."""
        if policy not in self.governance.policies:
            return {}
        known = self._orders.get(policy)
        now, counts = self._clock(), self._counts.present()
        if known is not None and known[1] is counts:
            made, _, order = known
            if policy not in self._stale or now - made < self._order_seconds:
                return order
        nodes = self.state.nodes
        places = {name: self.place(policy, node) for name, node in nodes.items()}
        elastic = [node for node in nodes.values() if places[node.name].tier is Tier.ELASTIC]
        order = emptying_order(elastic, places, counts.staying, pods=counts.pods)
        self._orders[policy] = (now, counts, order)
        self._stale.discard(policy)
        return order

    def _node_changed(self, old: NodeRecord | None, new: NodeRecord | None) -> None:
        if new is None and old is not None:
            for key in [key for key in self._places if key[1] == old.name]:
                del self._places[key]
        if old is None or new is None or old.labels != new.labels:
            self._stale.update(self._orders)
