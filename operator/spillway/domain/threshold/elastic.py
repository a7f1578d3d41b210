"""The part of a plan on elastic nodes: how many replicas are worth it and find a place there, beyond the owned ones.

Contract: pure. A level is worth an elastic node if it costs less there than on virtual nodes: both are paid for by the
hour in use, an elastic node also while it starts and until it is removed, so the prices and the lengths of the periods
decide. No workload is planned on elastic nodes that are too small for its pods. Where the policy says how many
nodes there can be, all its workloads share these as they share the owned nodes. What must be physical (a given number,
a threshold whose history is gone) holds all the same and takes its place first.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from spillway.domain.threshold.billing import billed_runs
from spillway.domain.threshold.demand import Demand
from spillway.domain.threshold.node_groups import NodeGroup
from spillway.domain.threshold.packing import Nodes, Requests, fitting
from spillway.domain.threshold.placeable import allocate_placeable
from spillway.domain.threshold.prices import Prices
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


def worth_on_elastic(demand: Demand, owned: int, prices: Prices) -> int:
    """How many replicas are worth owned and elastic nodes, of which `owned` are on owned ones, whatever they cost.

    Without the price of one of the two kinds, no replica beyond the owned ones is. `maximum` bounds the number.
    """
    if prices.elastic_core is None or not prices.virtual_core:
        return owned
    virtual, elastic = (billed_runs(demand, one) for one in (prices.billing, prices.elastic_billing))
    # Breaks and starts may make a higher level more expensive than the one below, without which it has no place here:
    # go up to the level where the sum of the savings is highest. Within a run the sum rises or falls evenly, so the
    # highest is at the end of one, or at a bound.
    tops = np.append(0.0, virtual.tops)
    per_level = virtual.shares * prices.virtual_core - elastic.shares * prices.elastic_core
    saved = np.append(0.0, np.cumsum(per_level * virtual.widths))
    most = tops[-1] if demand.maximum is None else min(tops[-1], demand.maximum)
    if most <= owned:
        return owned
    levels = np.unique(np.clip(tops, owned, most))
    return int(levels[np.interp(levels, tops, saved).argmax()])


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
