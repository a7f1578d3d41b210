"""The state of the simulated cluster: pods, and nodes as columns of numbers, so that all are scored at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spillway.domain.model.names import NodeName, PodUid, Tier, Zone
from spillway.domain.model.records import NodeRecord, Phase
from spillway.domain.model.units import GIB
from spillway.domain.model.usage import Usage
from spillway.domain.scale_down.candidates import Candidate
from spillway.simulate.scenario import ZONES, Scenario

MAX_PODS: Final = 110
_UNASSIGNED: Final = -1
_PENDING: Final = Phase.PENDING


@dataclass(eq=False, slots=True)
class SimPod:
    """One pod, from its creation to its end."""

    uid: PodUid
    workload: int
    revision: int
    created: int
    node: int = _UNASSIGNED
    bound: int = 0
    ready_from: int = 0
    """Step from which it is ready, once bound."""
    deletion_cost: int | None = None
    pending_since: int = 0
    virtual: bool = False
    """Whether it is on virtual nodes, or is sent there."""

    @property
    def assigned(self) -> bool:
        return self.node != _UNASSIGNED


@dataclass(eq=False, slots=True)
class SimReplicaSet:
    """The pods of one revision of a workload."""

    workload: int
    revision: int
    pods: dict[PodUid, SimPod] = field(default_factory=dict)
    ready: int = 0
    """The number of ready pods."""


class SimCluster:
    """Nodes and the pods on them. A node is a slot; slots of elastic nodes are reused under a new name."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        pools = scenario.virtual_pool_pods
        zones = len(ZONES)
        self.physical = scenario.fixed_nodes + scenario.elastic_max
        size = self.physical + len(pools) * zones
        self.tier: list[Tier] = (
            [Tier.FIXED] * scenario.fixed_nodes
            + [Tier.ELASTIC] * scenario.elastic_max
            + [Tier.VIRTUAL] * (len(pools) * zones)
        )
        self.zone: NDArray[np.intp] = np.arange(size) % zones
        self.zone[self.physical :] = np.arange(len(pools) * zones) % zones
        self.zone_names = [Zone(ZONES[zone]) for zone in self.zone]
        self.price_rank = [0] * self.physical + [index // zones for index in range(len(pools) * zones)]
        self.names = [NodeName(f"{tier}-{index}") for index, tier in enumerate(self.tier)]
        self.created = [0] * size
        self.alive = np.array([tier is not Tier.ELASTIC for tier in self.tier])
        self.soft_taint = np.array([tier is Tier.ELASTIC for tier in self.tier])
        self.cpu_free = np.full(size, scenario.node_cpu)
        self.memory_free = np.full(size, scenario.node_memory)
        self.pods_on = np.zeros(size, dtype=np.int64)
        self.of_workload = np.zeros((len(scenario.workloads), size), dtype=np.int64)
        self.in_zone = np.zeros((len(scenario.workloads), zones), dtype=np.int64)
        self.on_node: list[dict[PodUid, SimPod]] = [{} for _ in range(size)]
        self.pool_pods = [0] * len(pools)
        self._named = 0
        self.balloons: NDArray[np.int64] = np.zeros(size, dtype=np.int64)
        """By node: placeholder pods, which give way to any other pod; `pods_on` counts them, `on_node` does not."""
        self.balloons_waiting = [0] * zones
        """By zone: those that have no node."""
        self.balloon_cpu = 0.0
        self.balloon_memory = 0.0
        self.emptying: set[int] = set()
        """Elastic nodes that carry the soft taint of a node that is being emptied."""
        self.elastic_changes = 0
        """Grows whenever an elastic node comes or goes."""

    @property
    def elastic_slots(self) -> range:
        return range(self.scenario.fixed_nodes, self.physical)

    def bind(self, pod: SimPod, node: int, step: int) -> None:
        """Put a pod on a node; it is ready after its workload's time to start."""
        workload = self.scenario.workloads[pod.workload]
        pod.node, pod.bound, pod.ready_from = node, step, step + workload.startup_steps
        self.cpu_free[node] -= workload.cpu
        self.memory_free[node] -= workload.memory
        self.pods_on[node] += 1
        self.of_workload[pod.workload, node] += 1
        self.in_zone[pod.workload, self.zone[node]] += 1
        self.on_node[node][pod.uid] = pod
        if node >= self.physical:
            self.pool_pods[self.price_rank[node]] += 1

    def leave(self, pod: SimPod) -> None:
        """Stop counting a pod that is being deleted; its room is given back by `release`."""
        self.of_workload[pod.workload, pod.node] -= 1
        self.in_zone[pod.workload, self.zone[pod.node]] -= 1

    def release(self, pod: SimPod) -> None:
        """Give back the room of a pod that is gone."""
        workload = self.scenario.workloads[pod.workload]
        self.cpu_free[pod.node] += workload.cpu
        self.memory_free[pod.node] += workload.memory
        self.pods_on[pod.node] -= 1
        del self.on_node[pod.node][pod.uid]
        if pod.node >= self.physical:
            self.pool_pods[self.price_rank[pod.node]] -= 1

    def hold_balloons(self, node: int, count: int) -> None:
        """Put so many balloons on a node; a negative count takes them off."""
        self.balloons[node] += count
        self.pods_on[node] += count
        self.cpu_free[node] -= count * self.balloon_cpu
        self.memory_free[node] -= count * self.balloon_memory

    def evict_balloons(self, node: int, count: int | None = None) -> None:
        """Let balloons of a node, all of them or so many, wait for another one."""
        leaving = int(self.balloons[node]) if count is None else count
        self.hold_balloons(node, -leaving)
        self.balloons_waiting[self.zone[node]] += leaving

    def add_elastic(self, slot: int, step: int) -> None:
        """Let a new elastic node join in a free slot."""
        self._named += 1
        self.names[slot] = NodeName(f"elastic-{self._named:05}")
        self.created[slot] = step
        self.alive[slot] = True
        self.elastic_changes += 1

    def remove_elastic(self, slot: int) -> None:
        """Take an empty elastic node away."""
        self.alive[slot] = False
        self.emptying.discard(slot)
        self.elastic_changes += 1

    def elastic_records(self) -> list[NodeRecord]:
        """The elastic nodes as the planners see nodes."""
        return [
            NodeRecord(
                uid=self.names[slot],
                name=self.names[slot],
                labels={},
                created=self.scenario.time_of(self.created[slot]),
                ready=True,
                unschedulable=False,
                deleting=False,
                taints=(),
                cordoned_by="",
                cpu_millis=int(self.scenario.node_cpu * 1000),
                memory_bytes=int(self.scenario.node_memory * GIB),
                pods_allocatable=MAX_PODS,
            )
            for slot in self.elastic_slots
            if self.alive[slot]
        ]

    def free_on(self, node: int) -> Usage:
        """What is free on a node beside its pods and balloons."""
        return Usage(
            MAX_PODS - int(self.pods_on[node]),
            round(self.cpu_free[node] * 1000),
            round(self.memory_free[node] * GIB),
        )

    def zone_of(self, node: int) -> Zone:
        return self.zone_names[node]

    def candidates(self, replicaset: SimReplicaSet, step: int, order: Mapping[NodeName, int]) -> list[Candidate]:
        """The pods of a ReplicaSet as the planners see them, given the emptying order of elastic nodes."""
        # By far the most frequent work of a replay: everything is looked up once.
        names, zones, tiers, ranks = self.names, self.zone_names, self.tier, self.price_rank
        time_of, of_workload = self.scenario.time_of, self.of_workload[replicaset.workload]
        found: list[Candidate] = []
        for uid, pod in replicaset.pods.items():
            node, cost = pod.node, pod.deletion_cost
            if node == _UNASSIGNED:
                found.append(Candidate(uid=uid, phase=_PENDING, ready=False, created=time_of(pod.created)))
                continue
            name, ready = names[node], pod.ready_from <= step
            found.append(
                Candidate(
                    uid=uid,
                    node=name,
                    zone=zones[node],
                    tier=tiers[node],
                    price_rank=ranks[node],
                    node_order=order.get(name, 0),
                    ready=ready,
                    ready_since=time_of(pod.ready_from) if ready else 0.0,
                    created=time_of(pod.created),
                    deletion_cost=cost or 0,
                    stamped=cost is not None,
                    same_node_owner_pods=int(of_workload[node]),
                )
            )
        return found
