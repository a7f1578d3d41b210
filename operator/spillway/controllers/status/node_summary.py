"""The nodes by pool and by tier, and the problems that they show, for the statuses.

Contract: a pool's nodes are those of the present. A change marks tiers and problems as outdated; `refresh` makes them
again from the whole state.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from spillway.controllers.base import Unsubscribe, World
from spillway.domain.model.names import Tier
from spillway.domain.model.records import NodeRecord
from spillway.domain.policies.conflicts import ResourceProblem


@dataclass(frozen=True, slots=True)
class PoolCount:
    """The nodes of one pool."""

    nodes: int = 0
    ready: int = 0
    unschedulable: int = 0
    """Nodes that take no new pods, whoever cordoned them."""
    cordoned: int = 0
    """Of these, the nodes that carry Spillway's mark."""

    @classmethod
    def of(cls, nodes: Iterable[NodeRecord]) -> "PoolCount":
        """The counts of these nodes."""
        listed = [node for node in nodes if not node.deleting]
        return cls(
            nodes=len(listed),
            ready=sum(node.ready for node in listed),
            unschedulable=sum(node.unschedulable for node in listed),
            cordoned=sum(node.unschedulable and bool(node.cordoned_by) for node in listed),
        )


class NodeSummary:
    """The summary of all nodes; without tiers and problems before the first `refresh`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._outdated = True
        self._tiers: dict[str, Counter[Tier]] = {}
        self.all_nodes: Counter[Tier] = Counter()
        """The number of nodes in each tier of the cluster; each node is counted once."""
        self.all_cpu_millis: Counter[Tier] = Counter()
        """Their allocatable CPU."""
        self.problems: tuple[ResourceProblem, ...] = ()
        """What the nodes show to be wrong between resources."""

    def subscribe(self) -> Iterable[Unsubscribe]:
        """Follow the changes of nodes and resources."""
        yield self._world.state.subscribe(NodeRecord, self._node_changed)
        yield self._world.catalog.subscribe(self._mark_outdated)

    def tiers(self, policy: str) -> Mapping[Tier, int]:
        """The number of nodes in each tier of a policy."""
        return self._tiers.get(policy, Counter())

    def pool(self, name: str) -> PoolCount:
        """The nodes of a pool."""
        return PoolCount.of(self._world.membership.nodes(name))

    def refresh(self) -> None:
        """Make the summary again if something has changed."""
        if not self._outdated:
            return
        governance, nodes = self._world.governance, self._world.state.nodes
        self.problems = governance.node_problems(nodes.values())
        self._tiers = {policy: Counter() for policy in governance.policies}
        self.all_nodes, self.all_cpu_millis = Counter(), Counter()
        for node in nodes.values():
            for policy, tiers in self._tiers.items():
                tiers[self._world.places.place(policy, node).tier] += 1
            tier = governance.tier_of(node)
            self.all_nodes[tier] += 1
            self.all_cpu_millis[tier] += node.cpu_millis
        self._outdated = False

    def _node_changed(self, _: NodeRecord | None, __: NodeRecord | None) -> None:
        self._outdated = True

    def _mark_outdated(self) -> None:
        self._outdated = True
