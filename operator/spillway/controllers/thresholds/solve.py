"""From a request and the past of its workloads to a plan: one joint allocation of the owned nodes, then the prices.

Contract: pure. What must be physical (a class without a threshold, `virtual: Never`, too little history) takes its room
on the owned nodes first, then what is pinned, then Auto by priority and worth. A policy of a lower target counts its
replicas for more, so that one capacity serves policies of different targets. Where elastic and virtual nodes are
priced, a level that does not fit on owned nodes lives on elastic ones if it is needed often enough for the ratio of the
two prices; where they are not, the elastic nodes seen count as owned.
"""

import math
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from spillway.controllers.thresholds.money import Layers, Prices, hour_of, nodes_for
from spillway.controllers.thresholds.request import (
    PAST_ENOUGH_SECONDS,
    Plan,
    PlannedPolicy,
    PlannedWorkload,
    PlanRequest,
    PolicyNeed,
    Stance,
    WorkloadNeed,
)
from spillway.domain.threshold.allocation import allocate
from spillway.domain.threshold.demand import Demand, Series
from spillway.metrics.history import STEP_SECONDS, History

CYCLE_SECONDS: Final = 86_400.0
STEPS: Final = int(CYCLE_SECONDS / STEP_SECONDS)
QUANTILE: Final = 0.9
"""Of the past days, at each time of the day: what is planned for."""
SMALLEST_CORES: Final = 0.001
"""What a replica without a CPU request counts for."""
_PHYSICAL_FIRST: Final = 1_000_001
_PINNED_NEXT: Final = 1_000_000
"""Priorities above any that a user can give."""


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """What is left of one workload's history: a day of replicas, and how it came about."""

    day: Series | None = None
    """None with less than two days of history."""
    highest: float = 0.0
    """The most that was ever needed."""
    seconds: float = 0.0
    confidence: int | None = None
    """Percent of the last day's points that the days before it would have foreseen."""
    problem: str = ""


NO_PAST: Final = Past()


def past_of(history: History) -> Past:
    """The history folded into one day."""
    highest = float(history.replicas.max(initial=0.0))
    day = fold(history.times, history.replicas)
    if day is None:
        return Past(highest=highest, seconds=history.seconds, problem=history.problem)
    return Past(day, highest, history.seconds, _foreseen(history), history.problem)


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One workload of a plan."""

    need: WorkloadNeed
    policy: PolicyNeed
    past: Past
    demand: Demand
    cores: float
    """Real load of a replica."""
    learning: bool
    prices: Prices


def solve(request: PlanRequest, pasts: Mapping[str, Past], *, seconds: float = 0.0) -> Plan:
    """The plan. `seconds` is what reading the past took, for the record."""
    begun = time.perf_counter()
    reference = max((one.target for one in request.policies), default=1.0)
    rows = rows_of(request, pasts, reference)
    unpriced = sum(one.elastic_cores for one in request.policies if not _elastic_is_priced(one))
    capacity = request.capacity_cores + unpriced
    allocation = allocate([row.demand for row in rows], capacity_cores=capacity, target_utilization=reference)
    placed = [_placed(row, allocation.thresholds[row.need.workload], request.previous) for row in rows]
    return Plan(
        made=request.now,
        fingerprint=request.fingerprint,
        capacity_cores=capacity,
        peak_cores=float(allocation.owned_load.max(initial=0.0)),
        allowed_cores=allocation.usable_cores,
        policies=tuple(
            _policy(one, [row for row in placed if row.row.policy is one], request) for one in request.policies
        ),
        workloads=tuple(_workload(one) for one in placed),
        seconds=seconds + time.perf_counter() - begun,
    )


def rows_of(request: PlanRequest, pasts: Mapping[str, Past], reference: float) -> list[Row]:
    """The workloads that take room on physical nodes, as the allocation wants them."""
    policies = {one.name: one for one in request.policies}
    return [
        _row(need, policies[need.policy], pasts.get(need.workload, NO_PAST), request, reference)
        for need in request.workloads
        if need.stance is not Stance.VIRTUAL and need.policy in policies
    ]


def _row(need: WorkloadNeed, policy: PolicyNeed, past: Past, request: PlanRequest, reference: float) -> Row:
    day = past.day if past.day is not None else np.full(STEPS, max(float(need.replicas), past.highest))
    cores = max(need.request_cores, SMALLEST_CORES) * need.load
    demand = Demand(need.workload, day, cores * reference / policy.target)
    learning = need.stance is Stance.AUTO and past.day is None
    if need.stance is Stance.PHYSICAL or learning:
        demand = replace(demand, minimum=demand.peak, priority=_PHYSICAL_FIRST)
    elif need.stance is Stance.PINNED:
        kept = min(need.pinned, demand.peak)
        demand = replace(demand, minimum=kept, maximum=kept, priority=_PINNED_NEXT)
    else:
        # Room is taken for replicas that come, not for a minimum above what is ever needed.
        least = min(need.minimum, demand.peak)
        most = None if need.maximum is None else max(need.maximum, least)
        demand = replace(demand, minimum=least, maximum=most, priority=need.priority)
    return Row(need, policy, past, demand, cores, learning, _prices(need, policy, request.node_cores))


def _prices(need: WorkloadNeed, policy: PolicyNeed, node_cores: float) -> Prices:
    owned = elastic = virtual = None
    if policy.fixed_node_hour is not None and node_cores > 0:
        owned = policy.fixed_node_hour / (node_cores * policy.target)
    if policy.elastic_node_hour is not None and (size := policy.elastic_node_cores or node_cores) > 0:
        elastic = policy.elastic_node_hour / (size * policy.target)
    if policy.virtual_core_hour is not None and policy.virtual_gib_hour is not None:
        virtual = need.request_cores * policy.virtual_core_hour + need.request_gib * policy.virtual_gib_hour
    return Prices(owned, elastic, virtual)


def _elastic_is_priced(policy: PolicyNeed) -> bool:
    return policy.elastic_node_hour is not None and policy.virtual_core_hour is not None


@dataclass(frozen=True, slots=True, eq=False)
class _Placed:
    """A workload with its share."""

    row: Row
    layers: Layers
    threshold: int | None
    """For Auto; None while it learns, and for the others."""


def _placed(row: Row, owned: int, previous: Mapping[str, int]) -> _Placed:
    physical = max(owned, _worth_elastic(row))
    threshold = None
    if row.need.stance is Stance.AUTO and not row.learning:
        physical = threshold = steady(previous.get(row.need.workload), physical)
        owned = min(owned, threshold)
    elif row.need.stance is Stance.PINNED:
        physical = max(row.need.pinned, owned)
    layers = Layers(row.demand.whole_replicas(), row.cores, owned, physical, row.prices)
    return _Placed(row, layers, threshold)


def _worth_elastic(row: Row) -> int:
    """Levels that cost less on elastic nodes than on virtual ones: those needed for more than the ratio of prices."""
    elastic, virtual = row.prices.elastic_core, row.prices.virtual_replica
    if row.need.stance is not Stance.AUTO or row.learning or elastic is None or not virtual:
        return 0
    ratio = elastic * row.cores / virtual
    return min(_needed_for_more_than(row.demand, ratio), row.demand.most)


def _policy(policy: PolicyNeed, placed: Sequence[_Placed], request: PlanRequest) -> PlannedPolicy:
    hour = hour_of([one.layers for one in placed])
    return PlannedPolicy(
        name=policy.name,
        auto=sum(one.row.need.stance is Stance.AUTO for one in placed),
        learning=sum(one.row.learning for one in placed),
        currency=policy.currency,
        saved_vs_owned=hour.all_owned - hour.planned if hour is not None else None,
        saved_vs_virtual=hour.beyond_valley - hour.planned if hour is not None else None,
        owned_nodes_advised=_advised(policy, placed, request) if hour is not None else None,
    )


def _advised(policy: PolicyNeed, placed: Iterable[_Placed], request: PlanRequest) -> int:
    """Nodes that would be worth owning: what has to be physical, and each level needed often enough."""
    loads = []
    for one in placed:
        row, prices = one.row, one.row.prices
        levels = row.demand.peak
        if row.need.stance is Stance.AUTO and not row.learning and prices.owned_core is not None:
            instead = min(
                prices.virtual_replica or math.inf,
                prices.elastic_core * row.cores if prices.elastic_core is not None else math.inf,
            )
            ratio = prices.owned_core * row.cores / instead if instead else math.inf
            levels = max(_needed_for_more_than(row.demand, ratio), row.demand.minimum)
        elif row.need.stance is Stance.PINNED:
            levels = row.demand.minimum
        loads.append(np.minimum(row.demand.whole_replicas(), levels) * row.cores)
    return nodes_for(loads, request.node_cores, policy.target)


def _needed_for_more_than(demand: Demand, share: float) -> int:
    """How many levels are needed for more than this share of the cycle."""
    descending = np.sort(demand.whole_replicas())[::-1]
    position = math.floor(share * descending.size + 1e-9)
    return int(descending[position]) if position < descending.size else 0


def _workload(one: _Placed) -> PlannedWorkload:
    row = one.row
    return PlannedWorkload(
        workload=row.need.workload,
        policy=row.need.policy,
        threshold=one.threshold,
        peak=row.demand.peak,
        history_seconds=row.past.seconds,
        confidence=row.past.confidence,
        saving_per_hour=one.layers.saving(),
        problem=row.past.problem,
    )


def steady(previous: int | None, planned: int) -> int:
    """Raised only by more than a tenth or one replica; lowered at once, because the room is given to somebody else."""
    if previous is None or planned < previous:
        return planned
    return planned if planned - previous > max(1, previous // 10) else previous


def fold(times: Series, replicas: Series) -> Series | None:
    """A day from the past: at each time of the day the quantile over the days; None with less than two days."""
    if not times.size or times[-1] - times[0] < PAST_ENOUGH_SECONDS - 2 * STEP_SECONDS:
        return None
    steps = (times // STEP_SECONDS).astype(np.int64)
    first = int(steps[0]) // STEPS
    table = np.full((int(steps[-1]) // STEPS - first + 1, STEPS), np.nan)
    table[steps // STEPS - first, steps % STEPS] = replicas
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        day = np.nanquantile(table, QUANTILE, axis=0)
    known = np.flatnonzero(np.isfinite(day))
    filled: Series = np.interp(np.arange(STEPS), known, day[known], period=STEPS)
    return filled


def _foreseen(history: History) -> int | None:
    """Percent of the last day's points that the days before it would have covered."""
    before = history.times <= history.times[-1] - CYCLE_SECONDS
    day = fold(history.times[before], history.replicas[before])
    if day is None:
        return None
    last = ~before
    expected = day[(history.times[last] // STEP_SECONDS).astype(np.int64) % STEPS]
    return round(100 * float((np.ceil(history.replicas[last] - 1e-9) <= np.ceil(expected - 1e-9)).mean()))
