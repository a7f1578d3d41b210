"""The hysteresis of plans: small changes of a threshold are not followed, because they would move replicas for nothing.

Contract: a workload keeps its threshold while the new plan differs by no more than a replica or a tenth, whichever is
more, as long as it is within its bounds. Keeping never puts the owned load above capacity x target utilisation: where
it would, the kept thresholds that are above the plan and add most to the fullest step are given up, one after
another. Where nothing is kept the plan stands as it is, also where minima alone exceed the capacity.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np

from spillway.domain.threshold.demand import SLACK, Demand, steps_of

_TOLERATED_REPLICAS: Final = 1
_TOLERATED_SHARE: Final = 0.1


def settle(
    previous: Mapping[str, int],
    planned: Mapping[str, int],
    *,
    demands: Sequence[Demand],
    capacity_cores: float,
    target_utilization: float,
) -> Mapping[str, int]:
    """The thresholds to keep, for exactly the workloads of `planned`; each must be among the demands.

    `previous` are those held until now; a workload without one takes the plan's.
    """
    by_name = {demand.workload: demand for demand in sorted(demands, key=lambda one: one.workload)}
    held = {name: steadied(previous.get(name), planned[name], by_name[name]) for name in sorted(planned)}
    if not steps_of(list(by_name.values())) or not held:
        return MappingProxyType(held)
    usable = capacity_cores * target_utilization
    load = np.sum([by_name[name].owned_load(count) for name, count in held.items()], axis=0)
    above = {name for name, count in held.items() if count > planned[name]}
    while above and float(load.max()) > usable * (1 + SLACK):
        fullest = int(load.argmax())
        added = {name: by_name[name].owned_load(held[name]) - by_name[name].owned_load(planned[name]) for name in above}
        # The fullest step may be full of others' replicas; then any that is above its plan goes, the first by name.
        given_up = min(above, key=lambda name: (-float(added[name][fullest]), name))
        load = load - added[given_up]
        held[given_up] = planned[given_up]
        above.remove(given_up)
    return MappingProxyType(held)


def steadied(before: int | None, planned: int, demand: Demand, *, least: int | None = None) -> int:
    """The count `before` where the plan differs little from it, else the plan's, for one workload.

    A count below `least` (the workload's minimum, if not given) or above the workload's maximum is never kept.
    """
    least = demand.minimum if least is None else least
    if before is None or before < least or (demand.maximum is not None and before > demand.maximum):
        return planned
    tolerated = max(_TOLERATED_REPLICAS, int(before * _TOLERATED_SHARE))
    return before if abs(before - planned) <= tolerated else planned
