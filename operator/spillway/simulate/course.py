"""The course of a replay: what a cluster provides, uses and costs at each step.

Contract: amounts are those at the end of a step and count for all of it. Load spreads evenly over the ready replicas of
a workload, and a replica carries at most its CPU request. Nodes that are ordered count as paid for.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from spillway.simulate.cluster import SimCluster
from spillway.simulate.hpa import Ints
from spillway.simulate.scenario import Floats, Scenario

_ROUNDING: Final = 1e-9


class Course:
    """One number a step for each of its columns.

    `target` is the share of its request that a replica should use; `progress` is called after each step.
    """

    def __init__(self, scenario: Scenario, target: float, progress: Callable[[], None] = lambda: None) -> None:
        self._progress = progress
        steps = scenario.steps
        self._demand = scenario.demand
        self._cpu = np.array([one.cpu for one in scenario.workloads])
        self._target = target
        self.fixed_cores: Floats = np.zeros(steps)
        """CPU requests on fixed nodes; the same of the other tiers below."""
        self.elastic_cores: Floats = np.zeros(steps)
        self.virtual_cores: Floats = np.zeros(steps)
        self.virtual_gib: Floats = np.zeros(steps)
        self.elastic_nodes: Floats = np.zeros(steps)
        self.allocatable_cores: Floats = np.zeros(steps)
        """CPU of all fixed and elastic nodes that are paid for."""
        self.used_cores: Floats = np.zeros(steps)
        """CPU in use on fixed and elastic nodes."""
        self.load_cores: Floats = np.zeros(steps)
        """CPU that the demand needs."""
        self.unmet_cores: Floats = np.zeros(steps)
        """Of these, beyond what the ready replicas carry."""
        self.late_cores: Floats = np.zeros(steps)
        """Of these, beyond what the ready replicas carry at the target."""
        self.headroom_cores: Floats = np.zeros(steps)
        """CPU on elastic nodes that balloons hold; requests do not count it."""
        self.waiting_pods: Floats = np.zeros(steps)
        """Pods that wait for a node."""
        self.replicas: Ints = np.zeros((len(scenario.workloads), steps), dtype=np.int64)
        """Requested replicas, by workload."""
        self.evictions: Floats = np.zeros(steps)
        """Until the end of the step."""

    def note(self, step: int, cluster: SimCluster, elastic_nodes: int, ready: Ints, *, waiting: int) -> None:
        """Fill in a step; `waiting` pods found no node."""
        scenario, physical, fixed = cluster.scenario, cluster.physical, cluster.scenario.fixed_nodes
        requested = scenario.node_cpu - cluster.cpu_free
        self.fixed_cores[step] = requested[:fixed].sum()
        self.headroom_cores[step] = cluster.balloons.sum() * cluster.balloon_cpu
        on_elastic = requested[fixed:physical][cluster.alive[fixed:physical]].sum()
        self.elastic_cores[step] = on_elastic - self.headroom_cores[step]
        self.virtual_cores[step] = requested[physical:].sum()
        self.virtual_gib[step] = (scenario.node_memory - cluster.memory_free[physical:]).sum()
        self.elastic_nodes[step] = elastic_nodes
        self.allocatable_cores[step] = (fixed + elastic_nodes) * scenario.node_cpu
        load = self._demand[:, step] * self._cpu * self._target
        carried = np.minimum(load, ready * self._cpu)
        pods = cluster.of_workload.sum(axis=1)
        on_physical = cluster.of_workload[:, :physical].sum(axis=1) / np.maximum(pods, 1)
        self.load_cores[step] = load.sum()
        self.unmet_cores[step] = _above(load, carried)
        self.late_cores[step] = _above(load, ready * self._cpu * self._target)
        self.used_cores[step] = (carried * on_physical).sum()
        self.waiting_pods[step] = waiting
        self._progress()


def _above(load: Floats, carried: Floats) -> float:
    short = load - carried
    return float(short[short > _ROUNDING].sum())
