"""The moves of a replay: consolidation by surge, planned by the production planner.

Contract: one plan a minute, of which at most `per_minute` moves are begun; a workload has one at a time. Which nodes
carry the soft taint, and for how long, is decided as in production. A move asks for one additional replica; once every
replica is ready and the additional one is on another node, the chosen pod is deleted. An autoscaler or a rollout that
changes the workload in between ends the move, and so does a replica that is not ready in time, for which all workloads
count as Deployments without `progressDeadlineSeconds`. What is known of the future is the rise of the same time a day
before or, on the first day, the rise of the last quarter of an hour.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from spillway.domain.balance.consolidation import ConsolidationNode, NodePod, plan_consolidation
from spillway.domain.balance.emptying import NodeMemory
from spillway.domain.balance.failed_nodes import FailedNodes
from spillway.domain.model.names import NodeName, PodUid, Zone
from spillway.domain.model.units import DAY_SECONDS, GIB
from spillway.domain.model.usage import Usage
from spillway.domain.surge.patience import DEFAULT_READY_SECONDS
from spillway.simulate.cluster import MAX_PODS, SimCluster, SimPod
from spillway.simulate.scenario import ZONES, Scenario

PLAN_SECONDS: Final = 60.0
YOUNG_SECONDS: Final = 600.0
"""A node that the autoscaler added more recently is not emptied."""
_TREND_SECONDS: Final = 900.0


@dataclass(frozen=True, slots=True)
class MoveRules:
    """How a contender moves pods off elastic nodes."""

    per_minute: int = 5
    below: float = 0.7
    """Nodes of which a smaller share is requested are emptied."""
    worth_seconds: float = 1800.0
    """A node is emptied only if what is requested is not expected to need it again within this time."""


@dataclass(slots=True)
class SimMove:
    """One move in progress."""

    pod: SimPod
    source: int
    desired: int
    began: int


class SimMoves:
    """The moves of one replay; `at_rest` says whether a workload may be moved now."""

    def __init__(
        self, scenario: Scenario, cluster: SimCluster, rules: MoveRules, at_rest: Callable[[int], bool]
    ) -> None:
        self._scenario = scenario
        self._cluster = cluster
        self._rules = rules
        self._at_rest = at_rest
        self.running: dict[int, SimMove] = {}
        """By workload."""
        cpu = np.array([one.cpu for one in scenario.workloads])
        memory = np.array([one.memory for one in scenario.workloads])
        self._demand = np.stack([(np.ceil(scenario.demand) * one[:, None]).sum(axis=0) for one in (cpu, memory)])
        self._nodes, self._failed = NodeMemory(), FailedNodes()
        self._every = max(scenario.steps_in(PLAN_SECONDS), 1)
        self._young = scenario.steps_in(YOUNG_SECONDS)
        self.patience = scenario.steps_in(DEFAULT_READY_SECONDS)

    def begin(self, step: int, order: Mapping[NodeName, int], active: Callable[[SimPod], bool]) -> Sequence[SimPod]:
        """The pods to be moved now; their nodes carry the soft taint of a node that is being emptied."""
        if step % self._every:
            return ()
        cluster, rules = self._cluster, self._rules
        slots = {cluster.names[slot]: slot for slot in range(cluster.physical) if cluster.alive[slot]}
        nodes = [self._node(slot, step, order.get(name, 0), active) for name, slot in slots.items()]
        plan = plan_consolidation(
            nodes,
            below=rules.below,
            most=rules.per_minute,
            reserve=self._reserve(step),
            failed_before=self._failed.last,
        )
        self._failed.note(plan, {node.name for node in nodes if node.pods})

        def left(name: NodeName) -> int | None:
            return sum(map(active, cluster.on_node[slots[name]].values())) if name in slots else None

        self._nodes.follow(
            plan.nodes,
            tainted={cluster.names[slot] for slot in cluster.emptying},
            left=left,
            now=self._scenario.time_of(step),
        )
        cluster.emptying = {slots[name] for name in self._nodes.tainted(self._scenario.time_of(step)) if name in slots}
        return [cluster.on_node[slots[move.source]][move.pod] for move in plan.moves]

    def _node(self, slot: int, step: int, order: int, active: Callable[[SimPod], bool]) -> ConsolidationNode:
        cluster, scenario = self._cluster, self._scenario
        elastic = slot in cluster.elastic_slots
        pods = tuple(self._pod(pod) for pod in cluster.on_node[slot].values() if active(pod)) if elastic else ()
        return ConsolidationNode(
            name=cluster.names[slot],
            zone=cluster.zone_of(slot),
            allocatable=Usage(MAX_PODS, int(scenario.node_cpu * 1000), int(scenario.node_memory * GIB)),
            free=cluster.free_on(slot),
            may_empty=elastic
            and step - cluster.created[slot] >= self._young
            and not self._nodes.rests(cluster.names[slot], self._scenario.time_of(step)),
            order=order,
            emptying=slot in cluster.emptying,
            pods=pods,
        )

    def _pod(self, pod: SimPod) -> NodePod:
        workload, counts = self._scenario.workloads[pod.workload], self._cluster.in_zone[pod.workload]
        return NodePod(
            uid=PodUid(pod.uid),
            workload=workload.name,
            requests=Usage(1, round(workload.cpu * 1000), round(workload.memory * GIB)),
            zones={Zone(zone): int(count) for zone, count in zip(ZONES, counts, strict=True)},
            ready_to_move=pod.workload not in self.running and self._at_rest(pod.workload),
        )

    def _reserve(self, step: int) -> Usage:
        """The rise of requests that is expected while a node has to stay empty; pods are not counted."""
        horizon, day = self._scenario.steps_in(self._rules.worth_seconds), self._scenario.steps_in(DAY_SECONDS)
        now = self._demand[:, step]
        if step >= day:
            then = self._demand[:, step - day : step - day + horizon + 1]
            rise = now * (then.max(axis=1) / np.maximum(then[:, 0], 1e-9) - 1)
        else:
            trend = self._scenario.steps_in(_TREND_SECONDS)
            rise = (now - self._demand[:, max(step - trend, 0)]) * horizon / max(trend, 1)
        cpu, memory = np.maximum(rise, 0)
        return Usage(0, int(cpu * 1000), int(memory * GIB))
