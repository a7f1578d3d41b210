"""The joint allocation on nodes as they are: no threshold is planned whose replicas find no node.

Contract: as `allocate`, and besides: a workload is bounded by the places that the nodes have for its pods, and large
pods are placed node by node. Room that they cannot use goes to the other workloads. Minima hold all the same;
`unplaced_cores` says by how much they find no node, and `unplaced` whose they are. Pods that no node can hold take no
room from the others, however many of them there must be.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from spillway.domain.threshold.allocation import ROUNDS, Allocation, allocate
from spillway.domain.threshold.demand import Demand
from spillway.domain.threshold.node_groups import NodeGroup
from spillway.domain.threshold.packing import SMALL_FROM, Nodes, Packing, Requests, fitting

_ATTEMPTS: Final = 3
"""Allocations for which the room that large pods cannot use is given to others."""
_NO_CORES: Final = 1e-9
"""The load of a replica that no node can hold."""


@dataclass(frozen=True, slots=True, eq=False)
class Placeable:
    """The plan, and the demands with the bounds that the nodes set, of the load that they can put there."""

    allocation: Allocation
    demands: Sequence[Demand]
    packing: Packing | None
    unplaced_cores: float = 0.0
    unplaced: tuple[str, ...] = ()

    def lowered(self, thresholds: Mapping[str, int]) -> Mapping[str, int]:
        """These thresholds, each as high as its replicas find nodes."""
        return thresholds if self.packing is None else self.packing.lowered(thresholds).thresholds


def allocate_placeable(
    demands: Sequence[Demand],
    requests: Mapping[str, Requests],
    nodes: Nodes | None,
    *,
    capacity_cores: float,
    target_utilization: float,
    rounds: int = ROUNDS,
) -> Placeable:
    """Plan the thresholds; `requests` are those of a replica, by workload. Without `nodes` the sum alone counts."""
    if nodes is None or not nodes.rooms:
        plan = allocate(demands, capacity_cores=capacity_cores, target_utilization=target_utilization, rounds=rounds)
        return Placeable(plan, demands, None)
    bounded = [on_nodes(one, requests[one.workload], nodes) for one in demands]
    packing = Packing(bounded, requests, nodes)
    weighed = [one if nodes.places(requests[one.workload]) else replace(one, cpu_cores=_NO_CORES) for one in bounded]
    lowest: dict[str, int] = {}
    for attempt in range(_ATTEMPTS):
        tried = [capped(one, lowest.get(one.workload)) for one in weighed]
        plan = allocate(tried, capacity_cores=capacity_cores, target_utilization=target_utilization, rounds=rounds)
        packed = packing.lowered(plan.thresholds)
        lower = {name: count for name, count in packed.thresholds.items() if count < plan.thresholds[name]}
        if not lower or attempt == _ATTEMPTS - 1:
            break
        lowest |= lower
    return Placeable(
        replace(plan, thresholds=packed.thresholds), weighed, packing, packed.unplaced_cores, packed.unplaced
    )


def on_nodes(demand: Demand, requests: Requests, nodes: Nodes) -> Demand:
    """The demand, bounded by the places that the nodes have for its pods."""
    places = nodes.places(requests)
    return capped(demand, int(places)) if places < demand.most else demand


def capped(demand: Demand, most: int | None) -> Demand:
    """The demand with at most so many replicas, but for its minimum."""
    if most is None or (demand.maximum is not None and demand.maximum <= most):
        return demand
    return replace(demand, maximum=max(most, demand.minimum))


def on_one_node(demand: Demand, requests: Requests, room: NodeGroup, target_utilization: float) -> Demand:
    """The demand with each replica as large as its part of a node that holds as many as fit.

    A pod that fits on no such node is never owned, so none of its replicas are. Small pods stay as they are.
    """
    most = fitting(requests, room, memory=room.gib > 0)
    if most < 1:
        return replace(demand, minimum=0, maximum=0)
    if most >= SMALL_FROM:
        return demand
    return replace(demand, cpu_cores=max(demand.cpu_cores, room.cores * target_utilization / most))
