"""Models of node autoscalers: cluster-autoscaler with and without draining, and Karpenter with `WhenEmpty`.

Scale-up: pods that fit nowhere ask for nodes in a zone that takes them, zones kept balanced; a node boots for as long
as the scenario says.
Scale-down, cluster-autoscaler: a node that was empty for 10 min goes; with draining, so does one that was under 50 %
requested for 10 min and whose pods fit elsewhere, one at a time, its pods evicted; nothing within 10 min of a scale-up.
Karpenter: an empty node goes after `consolidateAfter`. Left out: unready nodes, stock-outs of machines, and node prices
(there is one size).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spillway.simulate.cluster import MAX_PODS, SimCluster, SimPod
from spillway.simulate.scenario import ZONES, Floats
from spillway.simulate.scheduler import Scheduler

SCAN_SECONDS: Final = 60.0
"""How often nodes that might be drained are looked at."""


@dataclass(frozen=True, slots=True)
class AutoscalerRules:
    """The rules by which a node autoscaler removes nodes."""

    idle_seconds: float
    drain_below: float = 0.0
    """Nodes with a smaller share of requests are drained if their pods fit elsewhere; 0 never drains."""
    delay_after_add_seconds: float = 0.0


CLUSTER_AUTOSCALER: Final = AutoscalerRules(600.0, delay_after_add_seconds=600.0)
CLUSTER_AUTOSCALER_DRAINS: Final = AutoscalerRules(600.0, drain_below=0.5, delay_after_add_seconds=600.0)
KARPENTER_WHEN_EMPTY: Final = AutoscalerRules(60.0)


class NodeAutoscaler:
    """A node autoscaler: elastic nodes come for pending pods and go when they are not needed."""

    def __init__(self, cluster: SimCluster, scheduler: Scheduler, rules: AutoscalerRules) -> None:
        self._cluster = cluster
        self._scheduler = scheduler
        self._rules = rules
        scenario = cluster.scenario
        self._boot = scenario.steps_in(scenario.node_startup_seconds)
        self._scan = max(scenario.steps_in(SCAN_SECONDS), 1)
        self._idle = scenario.steps_in(rules.idle_seconds)
        self._delay = scenario.steps_in(rules.delay_after_add_seconds)
        self._booting: dict[int, int] = {}
        self._unneeded_since: dict[int, int] = {}
        self._last_add = -(10**9)

    @property
    def nodes(self) -> int:
        """The number of elastic nodes that are paid for."""
        return int(self._cluster.alive[list(self._cluster.elastic_slots)].sum()) + len(self._booting)

    def can_help(self, pod: SimPod) -> bool:
        """Whether a node for this pod is ordered, or could be."""
        cluster = self._cluster
        allowed = self._scheduler.zones_allowed(pod)
        return any(
            allowed[cluster.zone[slot]] and (slot in self._booting or not cluster.alive[slot])
            for slot in cluster.elastic_slots
        )

    def join(self, step: int) -> bool:
        """Let nodes join that have booted; return whether any did."""
        booted = [slot for slot, at in self._booting.items() if at <= step]
        for slot in booted:
            del self._booting[slot]
            self._cluster.add_elastic(slot, step)
        return bool(booted)

    def scale_up(self, pending: Iterable[SimPod], step: int) -> None:
        """Order nodes for pods and balloons that fit nowhere, in addition to the nodes that are already ordered."""
        cluster = self._cluster
        scenario = cluster.scenario
        free = dict.fromkeys(self._booting, scenario.node_cpu)
        wanted = [(scenario.workloads[pod.workload].cpu, self._scheduler.zones_allowed(pod)) for pod in pending]
        for zone, count in enumerate(cluster.balloons_waiting):
            wanted += [(cluster.balloon_cpu, np.arange(len(ZONES)) == zone)] * count
        for cpu, allowed in wanted:
            slot = next((s for s, left in free.items() if left >= cpu and allowed[cluster.zone[s]]), None)
            if slot is None:
                slot = self._order(allowed, step)
                if slot is None:
                    continue
                free[slot] = scenario.node_cpu
            free[slot] -= cpu

    def _order(self, allowed: NDArray[np.bool_], step: int) -> int | None:
        cluster = self._cluster
        unused = [s for s in cluster.elastic_slots if not cluster.alive[s] and s not in self._booting]
        in_use = [0] * len(ZONES)
        for slot in cluster.elastic_slots:
            if cluster.alive[slot] or slot in self._booting:
                in_use[cluster.zone[slot]] += 1
        choices = [slot for slot in unused if allowed[cluster.zone[slot]]]
        if not choices:
            return None
        slot = min(choices, key=lambda s: (in_use[cluster.zone[s]], s))
        self._booting[slot] = step + self._boot
        self._last_add = step
        return slot

    def scale_down(self, step: int) -> list[SimPod]:
        """Take away nodes that are not needed; return the pods of a node to drain, all of which have to be evicted."""
        cluster, rules = self._cluster, self._rules
        drains = rules.drain_below > 0 and step % self._scan == 0
        self._watch(step, drains=drains)
        if step - self._last_add < self._delay:
            return []
        due = [slot for slot, since in self._unneeded_since.items() if step - since >= self._idle]
        for slot in due:
            if not cluster.pods_on[slot]:
                self.remove(slot)
        if drains:
            for slot in due:
                if cluster.alive[slot] and self._could_drain(slot):
                    cluster.evict_balloons(slot)
                    if cluster.on_node[slot]:
                        return list(cluster.on_node[slot].values())
                    self.remove(slot)
        return []

    def _watch(self, step: int, *, drains: bool) -> None:
        """Record since when each node has not been needed; whether one could be drained is checked at an interval."""
        cluster = self._cluster
        for slot in cluster.elastic_slots:
            empty = cluster.alive[slot] and not cluster.pods_on[slot]
            if empty or (drains and cluster.alive[slot] and self._could_drain(slot)):
                self._unneeded_since.setdefault(slot, step)
            elif drains or self._rules.drain_below <= 0 or not cluster.alive[slot]:
                self._unneeded_since.pop(slot, None)

    def remove(self, slot: int) -> None:
        """Take one node away."""
        self._cluster.remove_elastic(slot)
        self._unneeded_since.pop(slot, None)

    def _could_drain(self, slot: int) -> bool:
        """Whether a node is little used and its pods would fit on the other physical nodes, first fit."""
        cluster, scenario = self._cluster, self._cluster.scenario
        used = max(1 - cluster.cpu_free[slot] / scenario.node_cpu, 1 - cluster.memory_free[slot] / scenario.node_memory)
        if used >= self._rules.drain_below:
            return False
        cpu = cluster.cpu_free[: cluster.physical].copy()
        memory = cluster.memory_free[: cluster.physical].copy()
        room = cluster.alive[: cluster.physical] & (cluster.pods_on[: cluster.physical] < MAX_PODS)
        room[slot] = False
        for pod in cluster.on_node[slot].values():
            workload = scenario.workloads[pod.workload]
            fits = room & (cpu >= workload.cpu) & (memory >= workload.memory)
            if workload.hard_zone_spread:
                fits &= cluster.zone[: cluster.physical] == cluster.zone[slot]
            where = int(np.argmax(fits))
            if not fits[where]:
                return False
            cpu[where] -= workload.cpu
            memory[where] -= workload.memory
        return self._balloons_fit(slot, room, cpu, memory)

    def _balloons_fit(self, slot: int, room: NDArray[np.bool_], cpu: Floats, memory: Floats) -> bool:
        """Whether the balloons of a node would fit on the other elastic nodes of its zone."""
        cluster = self._cluster
        if not cluster.balloons[slot]:
            return True
        room = room & (cluster.zone[: cluster.physical] == cluster.zone[slot])
        room[: cluster.scenario.fixed_nodes] = False
        units = np.full(cluster.physical, MAX_PODS)
        for free, balloon in ((cpu, cluster.balloon_cpu), (memory, cluster.balloon_memory)):
            if balloon:
                units = np.minimum(units, ((free + 1e-9) // balloon).astype(np.int64))
        return bool(units[room].sum() >= cluster.balloons[slot])
