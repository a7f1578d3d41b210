"""A model of kube-scheduler with its default plugins and weights, over all nodes at once.

Filters: resources, number of pods, hard zone spread. Scores: NodeResourcesFit (LeastAllocated, weight 1),
NodeResourcesBalancedAllocation (1), PodTopologySpread (2; zones and hosts as in Kubernetes' default constraints) and
TaintToleration (3; a PreferNoSchedule taint costs all of it). A pod that finds no room takes that of balloons. Left
out: image locality, inter-pod affinity, and the sampling of nodes in clusters above 100 nodes.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from spillway.simulate.cluster import MAX_PODS, SimCluster, SimPod
from spillway.simulate.scenario import ZONES

_ZONE_MAX_SKEW: Final = 5
_HOST_MAX_SKEW: Final = 3
_LOG_ZONES: Final = np.log(len(ZONES) + 2)


class Scheduler:
    """The model that finds a node for a pod, or none."""

    def __init__(self, cluster: SimCluster, random: np.random.Generator, *, soft_taint: bool) -> None:
        self._cluster = cluster
        self._random = random
        physical = cluster.physical
        self._zone = cluster.zone[:physical]
        self._taint_score = np.where(cluster.soft_taint[:physical], 0.0, 300.0) if soft_taint else np.zeros(physical)

    def physical_node(self, pod: SimPod) -> int | None:
        """The best physical node that fits."""
        cluster, physical = self._cluster, self._cluster.physical
        workload = cluster.scenario.workloads[pod.workload]
        cpu, memory = cluster.cpu_free[:physical], cluster.memory_free[:physical]
        fits = cluster.alive[:physical] & (cpu >= workload.cpu - 1e-9) & (memory >= workload.memory - 1e-9)
        fits &= cluster.pods_on[:physical] < MAX_PODS
        if workload.hard_zone_spread:
            fits &= self.zones_allowed(pod)[self._zone]
        nodes = fits.nonzero()[0]
        if not len(nodes):
            return None
        cpu_left = (cpu[nodes] - workload.cpu) / cluster.scenario.node_cpu
        memory_left = (memory[nodes] - workload.memory) / cluster.scenario.node_memory
        score = 50 * (cpu_left + memory_left) + 100 - 50 * np.abs(cpu_left - memory_left)
        score += 2 * self._spread_score(pod, nodes) + self._taints(nodes)
        # The scheduler chooses at random among equals.
        return int(nodes[(score + self._random.random(len(nodes)) * 1e-3).argmax()])

    def node_after_eviction(self, pod: SimPod) -> int | None:
        """The node from which the fewest balloons have to leave for a pod that finds no room; they leave it."""
        cluster, physical = self._cluster, self._cluster.physical
        balloons = cluster.balloons[:physical]
        if not balloons.any():
            return None
        workload = cluster.scenario.workloads[pod.workload]
        needed = (cluster.pods_on[:physical] >= MAX_PODS).astype(np.float64)
        for request, free, balloon in (
            (workload.cpu, cluster.cpu_free[:physical], cluster.balloon_cpu),
            (workload.memory, cluster.memory_free[:physical], cluster.balloon_memory),
        ):
            short = request - 1e-9 - free
            needed = np.maximum(needed, np.where(short > 0, np.ceil(short / balloon) if balloon else np.inf, 0.0))
        fits = cluster.alive[:physical] & (needed <= balloons) & self.zones_allowed(pod)[self._zone]
        if not fits.any():
            return None
        node = int(np.where(fits, needed, np.inf).argmin())
        cluster.evict_balloons(node, int(needed[node]))
        return node

    def _taints(self, nodes: NDArray[np.intp]) -> NDArray[np.float64]:
        """The score by soft taints: a node with two of them gets nothing, one with one gets half if another has two."""
        score = self._taint_score[nodes]
        emptying = self._cluster.emptying and [i for i, node in enumerate(nodes) if int(node) in self._cluster.emptying]
        if emptying:
            score = np.where(score > 0, score, 150.0)
            score[emptying] = 0.0
        return score

    def zones_allowed(self, pod: SimPod) -> NDArray[np.bool_]:
        """Whether, by zone, a hard zone spread lets the pod in."""
        cluster = self._cluster
        if not cluster.scenario.workloads[pod.workload].hard_zone_spread:
            return np.ones(len(ZONES), dtype=np.bool_)
        counts = cluster.in_zone[pod.workload]
        return np.asarray(counts <= counts.min(), dtype=np.bool_)

    def virtual_node(self, pod: SimPod) -> int:
        """The node of the cheapest virtual pool with room, in the allowed zone with fewest of its kind."""
        cluster = self._cluster
        allowed = self.zones_allowed(pod)
        pools = cluster.scenario.virtual_pool_pods
        pool = next((i for i, limit in enumerate(pools) if cluster.pool_pods[i] < limit), len(pools) - 1)
        first = cluster.physical + pool * len(ZONES)
        nodes = [first + zone for zone in range(len(ZONES)) if allowed[zone]]
        counts = cluster.in_zone[pod.workload]
        return min(nodes, key=lambda node: (counts[cluster.zone[node]], node))

    def _spread_score(self, pod: SimPod, nodes: NDArray[np.intp]) -> NDArray[np.float64]:
        cluster = self._cluster
        raw = cluster.of_workload[pod.workload, nodes] * np.log(len(nodes) + 2) + (_HOST_MAX_SKEW - 1)
        if not cluster.scenario.workloads[pod.workload].hard_zone_spread:
            in_zone = cluster.in_zone[pod.workload][self._zone[nodes]]
            raw = raw + in_zone * _LOG_ZONES + (_ZONE_MAX_SKEW - 1)
        highest, lowest = float(raw.max()), float(raw.min())
        return np.asarray(100 * (highest + lowest - raw) / highest, dtype=np.float64)
