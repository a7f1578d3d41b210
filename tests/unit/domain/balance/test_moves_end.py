"""Moves for all reasons, one plan after the other, come to an end: none takes back what another one did."""

from collections import defaultdict
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from spillway.domain.balance.class_moves import class_points, crowded_nodes, plan_class_moves
from spillway.domain.balance.classes import LoadClass
from spillway.domain.balance.load import Weights, percent_of
from spillway.domain.balance.move_board import LoadedNode, MovablePod, MoveLimits
from spillway.domain.balance.moves import MovePlan, busy_nodes, plan_moves
from spillway.domain.balance.request_moves import plan_request_moves, reserved_nodes
from spillway.domain.model.names import NodeName, Zone
from spillway.domain.model.usage import Usage
from tests.support.moves import limits, node, pod

GIB = 1 << 30
ROUNDS = 60


class Cluster:
    """Nodes whose load and room follow from the pods on them; each pod is a workload of its own and moves at once."""

    def __init__(self, nodes: list[LoadedNode], pods: list[tuple[LoadClass, MovablePod]], rule: MoveLimits) -> None:
        self.bare = nodes
        self.pods = {one.uid: one for _, one in pods}
        self.class_of = {one.uid: load_class for load_class, one in pods}
        self.rule = rule

    @property
    def nodes(self) -> list[LoadedNode]:
        found = []
        for one in self.bare:
            here = [each for each in self.pods.values() if each.node == one.name]
            cpu = sum(each.used_millis for each in here) / one.allocatable.cpu_millis
            memory = sum(each.used_bytes for each in here) / one.allocatable.memory_bytes
            free = one.free
            for each in here:
                free -= each.requests
            found.append(replace(one, percent=one.percent + percent_of(cpu, memory, self.rule.weights), free=free))
        return found

    def plan(self) -> MovePlan:
        """As the rebalancer plans: for the load, then for requests, then for classes."""
        nodes, pods = self.nodes, list(self.pods.values())
        busy = busy_nodes({one.name: one.percent for one in nodes}, self.rule)
        found = plan_moves(nodes, [one for one in pods if one.node in busy], self.rule)
        if found.moves:
            return found
        reserved = reserved_nodes(nodes, self.rule)
        found = plan_request_moves(nodes, [one for one in pods if one.node in reserved], self.rule)
        if found.moves:
            return found
        shares: dict[LoadClass, dict[NodeName, float]] = {one: defaultdict(float) for one in LoadClass}
        by_name = {one.name: one for one in nodes}
        for one in pods:
            load_class = self.class_of[one.uid]
            points = class_points(load_class, by_name[one.node], one.used_millis, one.used_bytes)
            shares[load_class][one.node] += points
        crowded = crowded_nodes(nodes, shares, self.rule.max_imbalance)
        classed = [(self.class_of[one.uid], one) for one in pods if (self.class_of[one.uid], one.node) in crowded]
        return plan_class_moves(nodes, classed, shares, self.rule)

    def carry_out(self, plan: MovePlan) -> None:
        for move in plan.moves:
            self.pods[move.pod] = replace(self.pods[move.pod], node=move.target)


@st.composite
def clusters(draw: st.DrawFn) -> Cluster:
    nodes = []
    for index in range(draw(st.integers(2, 5))):
        size = Usage(110, draw(st.sampled_from([4000, 10_000])), draw(st.sampled_from([16 * GIB, 32 * GIB])))
        nodes.append(node(f"n{index}", draw(st.floats(0, 20)), allocatable=size, free=size))
    pods: list[tuple[LoadClass, MovablePod]] = []
    for index in range(draw(st.integers(0, 14))):
        requests = Usage(1, draw(st.integers(100, 3000)), draw(st.integers(1, 4)) * GIB)
        made = pod(f"p{index}", draw(st.sampled_from(nodes)).name, draw(st.floats(0, 30)), requests=requests)
        used = replace(made, used_bytes=draw(st.floats(0, 8)) * GIB, zones={Zone("a"): 1})
        pods.append((draw(st.sampled_from(LoadClass)), used))
    weights = draw(st.sampled_from([Weights(100, 0), Weights(70, 30), Weights(50, 50)]))
    return Cluster(nodes, pods, limits(weights=weights, max_imbalance=draw(st.sampled_from([5.0, 20.0]))))


@settings(max_examples=300, derandomize=True)
@given(clusters())
def test_with_constant_use_moves_come_to_an_end(cluster: Cluster) -> None:
    for _ in range(ROUNDS):
        plan = cluster.plan()
        if not plan.moves:
            return
        cluster.carry_out(plan)
    raise AssertionError([move.text for move in plan.moves])
