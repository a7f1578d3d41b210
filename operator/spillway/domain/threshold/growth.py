"""Growth: room that the allocation leaves free goes to services that request more replicas than their history shows.

Contract: the cycle describes past days; for a service that doubled this morning it has no level above the old peak. So
if all levels of a workload in the cycle are owned, and more replicas are requested now, its threshold is raised as far
as room is left. The hours of such a replica are unknown, so it takes its room at every step. A higher priority goes
first; within one all grow by the same share of what they lack, whole replicas that are left over by name. No threshold
is lowered, none is raised above its maximum, and nothing is added where no room is left.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import chain
from types import MappingProxyType

import numpy as np

from spillway.domain.threshold.demand import SLACK, Demand, by_priority, steps_of


def grown(
    thresholds: Mapping[str, int], asked: Mapping[str, int], *, demands: Sequence[Demand], usable_cores: float
) -> Mapping[str, int]:
    """The raised thresholds; `asked` are the present replicas of the workloads that may grow."""
    found = dict(thresholds)
    if not steps_of(demands):
        return MappingProxyType(found)
    groups = by_priority(demands)
    left = usable_cores - reserved(found, list(chain.from_iterable(groups)))
    for group in groups:
        lacking = {one: _lacks(one, found[one.workload], asked.get(one.workload, 0)) for one in group}
        wanted = sum(count * one.cpu_cores for one, count in lacking.items())
        if wanted <= 0:
            continue
        share = min(1.0, max(left, 0.0) / wanted)
        given = {one: math.floor(count * share + SLACK) for one, count in lacking.items()}
        left -= sum(count * one.cpu_cores for one, count in given.items())
        for one, count in lacking.items():
            if given[one] < count and one.cpu_cores <= left + SLACK:
                given[one] += 1
                left -= one.cpu_cores
        for one, count in given.items():
            found[one.workload] += count
    return MappingProxyType(found)


def reserved(thresholds: Mapping[str, int], demands: Sequence[Demand]) -> float:
    """Cores at the fullest step, if a replica above the levels of the cycle takes its room at every step."""
    if not demands:
        return 0.0
    load = np.sum([one.owned_load(thresholds[one.workload]) for one in demands], axis=0)
    beyond = sum(one.beyond(thresholds[one.workload]) * one.cpu_cores for one in demands)
    return float(load.max()) + beyond


def _lacks(demand: Demand, threshold: int, asked: int) -> int:
    if threshold < demand.most:
        return 0
    return max(0, (asked if demand.maximum is None else min(asked, demand.maximum)) - threshold)
