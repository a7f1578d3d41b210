"""The part of a plan on elastic nodes: how many replicas find a place there, beyond those on owned nodes.

Contract: pure. No workload is planned on elastic nodes that are too small for its pods. Where the policy says how many
nodes there can be, all its workloads share these as they share the owned nodes. What must be physical (a given number,
a threshold whose history is gone) holds all the same and takes its place first.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from spillway.domain.threshold.node_groups import NodeGroup
from spillway.domain.threshold.packing import Nodes, Requests, fitting
from spillway.domain.threshold.placeable import allocate_placeable
from spillway.domain.threshold.request import PlanRequest, PolicyNeed
from spillway.domain.threshold.sums import Share


def seen_elastic(policies: Iterable[PolicyNeed]) -> tuple[NodeGroup, ...]:
    """The elastic nodes of these policies, the most seen within a day."""
    found = []
    for one in policies:
        if one.elastic_cores > 0:
            size = one.elastic_node_cores or one.elastic_cores
            count = max(1, round(one.elastic_cores / size))
            found.append(NodeGroup(count=count, cores=size, gib=one.elastic_node_gib or math.inf))
    return tuple(found)


def on_elastic(shares: Sequence[Share], requests: Mapping[str, Requests], request: PlanRequest) -> list[Share]:
    """The shares in the same sequence, with no more replicas on elastic nodes than these can hold."""
    found = list(shares)
    for policy in request.policies:
        room = NodeGroup(
            count=policy.elastic_max_nodes or 0,
            cores=policy.elastic_node_cores or request.node_cores,
            gib=policy.elastic_node_gib or (request.node_gib if not policy.elastic_node_cores else 0.0) or math.inf,
        )
        rows = [row for row, one in enumerate(found) if one.policy == policy.name and one.physical > one.owned]
        if not rows or room.cores <= 0:
            continue
        placed = _placed([found[row] for row in rows], requests, policy, room)
        for row in rows:
            one = found[row]
            found[row] = replace(one, physical=one.owned + placed[one.demand.workload])
    return found


def _placed(
    shares: Sequence[Share], requests: Mapping[str, Requests], policy: PolicyNeed, room: NodeGroup
) -> Mapping[str, int]:
    """Replicas on elastic nodes, by workload."""
    demands = []
    for one in shares:
        beyond = one.physical - one.owned
        if not one.fixed and fitting(requests[one.demand.workload], room) < 1:
            beyond = 0
        replicas = np.clip(one.demand.whole_replicas() - one.owned, 0, None)
        least = beyond if one.fixed else 0
        demands.append(replace(one.demand, replicas=replicas, minimum=least, maximum=beyond))
    if policy.elastic_max_nodes is None:
        return {one.workload: one.maximum or 0 for one in demands}
    return allocate_placeable(
        demands,
        requests,
        Nodes((room,)),
        capacity_cores=room.count * room.cores,
        target_utilization=policy.target,
    ).allocation.thresholds
