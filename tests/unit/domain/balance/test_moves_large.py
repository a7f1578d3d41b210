"""Plans of moves alone, one after the other, make a large uneven cluster even, if pods land where they are planned.

The cluster is that of `make bench-balance`: 60 nodes in three zones, 600 pods of 100 workloads that use much CPU, much
memory or little of both.
"""

import random
from collections import Counter
from dataclasses import replace

import pytest

from spillway.domain.balance.load import Weights
from spillway.domain.balance.move_board import LoadedNode, MovablePod
from spillway.domain.balance.moves import busy_nodes, plan_moves
from spillway.domain.model.names import NodeName, Zone
from spillway.domain.model.usage import Usage
from tests.support.moves import limits, node, pod

GIB = 1 << 30
SIZE = Usage(110, 8000, 32 * GIB)
REQUESTS = Usage(1, 600, 3 * GIB // 2)
ACCEPTED, UNEVEN = 20.0, 50.0
BURST = 30
"""Moves that begin at once."""
PLANS = 3
"""Three minutes and a little more apart: so many in ten minutes, in which each workload moves once."""
CORES = {"cpu": (0.6, 1.0), "memory": (0.1, 0.3), "idle": (0.05, 0.15)}


class World:
    """Nodes, and pods that a scheduler has placed by their requests: which pods are together is left to chance."""

    def __init__(self, seed: int) -> None:
        chance = random.Random(seed)
        self.zone_of = {NodeName(f"n{index}"): Zone("abc"[index % 3]) for index in range(60)}
        self.pods: list[MovablePod] = []
        pods_on: Counter[NodeName] = Counter()
        for index in range(100):
            kind = chance.choices(tuple(CORES), (0.4, 0.4, 0.2))[0]
            use = 100 * chance.uniform(*CORES[kind]) / (SIZE.cpu_millis / 1000)
            for replica in range(6):
                there = [name for name, zone in self.zone_of.items() if zone == "abc"[replica % 3]]
                name = min(there, key=lambda one: (pods_on[one], chance.random()))
                pods_on[name] += 1
                made = pod(f"w{index}-{replica}", name, use, f"w{index}", requests=REQUESTS)
                self.pods.append(replace(made, used_millis=use * SIZE.cpu_millis / 100))

    def nodes(self) -> list[LoadedNode]:
        loads = dict.fromkeys(self.zone_of, 0.0)
        requested = dict.fromkeys(self.zone_of, Usage(0, 0, 0))
        for one in self.pods:
            loads[one.node] += 100 * one.used_millis / SIZE.cpu_millis
            requested[one.node] += one.requests
        return [
            node(name, loads[name], zone, allocatable=SIZE, free=SIZE - requested[name])
            for name, zone in self.zone_of.items()
        ]

    def zones(self, workload: str) -> Counter[Zone]:
        return Counter(self.zone_of[one.node] for one in self.pods if one.workload == workload)

    @property
    def imbalance(self) -> float:
        loads = [one.percent for one in self.nodes()]
        return max(loads) - min(loads)


@pytest.mark.parametrize("seed", range(5))
def test_planned_moves_bring_a_cluster_within_what_is_accepted(seed: int) -> None:
    world, rule = World(seed), limits(weights=Weights(100, 0), max_imbalance=ACCEPTED, most=BURST)
    assert world.imbalance > UNEVEN
    moved: set[str] = set()
    for _ in range(PLANS):
        nodes = world.nodes()
        busy = busy_nodes({one.name: one.percent for one in nodes}, rule)
        movable = [
            replace(one, zones=world.zones(one.workload))
            for one in world.pods
            if one.node in busy and one.workload not in moved
        ]
        plan = plan_moves(nodes, movable, rule)
        to = {move.pod: move.target for move in plan.moves}
        world.pods = [replace(one, node=to.get(one.uid, one.node)) for one in world.pods]
        moved |= {move.workload for move in plan.moves}
        assert world.imbalance == pytest.approx(plan.after)
    assert world.imbalance <= ACCEPTED
    assert len(moved) <= len(world.pods) / 10
    for workload in {one.workload for one in world.pods}:
        zones = world.zones(workload)
        assert max(zones.values()) - min(zones[Zone(name)] for name in "abc") <= 1
