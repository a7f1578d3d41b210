"""The plan of thresholds: a joint allocation of the owned nodes for a request and its histories, then prices.

Contract: pure. What must be physical (a class without a threshold, `virtual: Never`, too little history) takes its room
on the owned nodes first, then what is pinned, then Auto by priority and worth. A workload that was planned before and
whose history is gone is pinned to its threshold and is left out of the amounts, because its demand is unknown. A policy
of a lower target counts its replicas for more, so that one capacity serves policies of different targets. The scheduler
goes by requests: a replica counts for at least its request x target, however little it uses, and for more if it
requests a larger share of the owned memory than of the cores. Large pods are placed node by node. So what is planned
there can be placed there. If elastic and virtual nodes are priced, levels that find no room on owned nodes run on
elastic ones as far as the prices make that worth it; otherwise the elastic nodes seen count as owned. Policies in
Recommend move no pod: the plan of the others leaves out what their pods request now, and their own thresholds are those
of a plan in which all policies act. Room that is left on owned nodes goes to workloads that
request more replicas now than their history shows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec
import numpy as np

from spillway.api.common import MOST_REPLICAS
from spillway.domain.model.units import DAY_SECONDS
from spillway.domain.threshold.basis import Basis
from spillway.domain.threshold.coming_day import loss_percent
from spillway.domain.threshold.demand import Demand
from spillway.domain.threshold.elastic import on_elastic, seen_elastic, worth_on_elastic
from spillway.domain.threshold.growth import grown, reserved
from spillway.domain.threshold.history import STEP_SECONDS
from spillway.domain.threshold.hysteresis import settle, steadied
from spillway.domain.threshold.node_groups import NodeGroup, dominant_cores
from spillway.domain.threshold.nodes_worth_owning import NodeSize
from spillway.domain.threshold.packing import Nodes, Requests
from spillway.domain.threshold.past import NO_PAST, Past
from spillway.domain.threshold.placeable import Placeable, allocate_placeable, on_one_node
from spillway.domain.threshold.prices import Prices, priced
from spillway.domain.threshold.request import (
    Plan,
    PlannedWorkload,
    PlanRequest,
    PolicyNeed,
    Stance,
    WorkloadNeed,
)
from spillway.domain.threshold.sums import Saved, Share, owned_load, policy_sums, saving_of

STEPS: Final = int(DAY_SECONDS / STEP_SECONDS)
SMALLEST_CORES: Final = 0.001
"""The CPU request that a replica without one counts for."""
_PHYSICAL_FIRST: Final = 1_000_001
_PINNED_NEXT: Final = 1_000_000
"""Priorities above any that a user can give."""


@dataclass(frozen=True, slots=True, eq=False)
class _Row:
    """One workload of a plan."""

    need: WorkloadNeed
    policy: PolicyNeed
    past: Past
    demand: Demand
    """Its load, by its own policy's target."""
    shared: Demand
    """The same, its load measured by the target that all policies share."""
    prices: Prices
    kept: int | None = None
    """Its threshold until now, if its history is gone."""

    @property
    def requests(self) -> Requests:
        return Requests(self.need.request_cores, self.need.request_gib)

    @property
    def learning(self) -> bool:
        return self.need.stance is Stance.AUTO and self.past.cycle is None and self.kept is None

    @property
    def planned(self) -> bool:
        return self.need.stance is Stance.AUTO and self.past.cycle is not None

    @property
    def forecast(self) -> bool:
        return self.past.coming is not None and self.past.coming.basis is Basis.FORECAST


def solve(request: PlanRequest, pasts: Mapping[str, Past]) -> Plan:
    """The plan; its `seconds` is for the caller to fill in."""
    watched = {one.name for one in request.policies if not one.acting}
    if not watched or len(watched) == len(request.policies):
        return _solved(request, pasts)
    plan, advice = _solved(_acting(request), pasts), _solved(request, pasts)
    policies = {one.name: one for one in (*plan.policies, *advice.policies)}
    of_watched = [one for one in advice.workloads if one.policy in watched]
    return msgspec.structs.replace(
        plan,
        policies=tuple(
            next(one for one in (advice if name in watched else plan).policies if one.name == name) for name in policies
        ),
        workloads=(*plan.workloads, *of_watched),
    )


def _acting(request: PlanRequest) -> PlanRequest:
    """The request of the policies that are enforced: the pods of the others are in use of what they take now."""
    acting = tuple(one for one in request.policies if one.acting)
    names = {one.name for one in acting}
    cores, gib = (
        sum(one.count * getattr(one, field) for one in request.nodes) for field in ("watched_cores", "watched_gib")
    )
    return msgspec.structs.replace(
        request,
        policies=acting,
        workloads=tuple(one for one in request.workloads if one.policy in names),
        capacity_cores=max(0.0, request.capacity_cores - cores),
        capacity_gib=max(0.0, request.capacity_gib - gib),
        nodes=tuple(one.without_watched() for one in request.nodes),
        other_cores=request.other_cores
        + dominant_cores(cores, gib, of_cores=request.node_cores, of_memory=request.node_gib),
    )


def _solved(request: PlanRequest, pasts: Mapping[str, Past]) -> Plan:
    policies = {one.name: one for one in request.policies}
    target = max((one.target for one in request.policies), default=1.0)
    rows = [
        _row(need, policies[need.policy], pasts.get(need.workload, NO_PAST), request, target)
        for need in request.workloads
        if need.stance is not Stance.VIRTUAL and need.policy in policies
    ]
    arranged = _arranged(rows, request, target)
    usual = _usual(rows, request, target) or arranged
    by_policy = {
        name: [share for row, share in zip(rows, usual.shares, strict=True) if row.need.policy == name]
        for name in policies
    }
    peaks = {name: float(owned_load(part).max()) / policies[name].target for name, part in by_policy.items()}
    together = sum(peaks.values()) or 1.0
    return Plan(
        made=request.now,
        fingerprint=request.fingerprint,
        capacity_cores=arranged.capacity_cores,
        peak_cores=reserved(arranged.owned, arranged.placed.demands),
        allowed_cores=arranged.placed.allocation.usable_cores,
        excess_cores=arranged.placed.allocation.excess_cores,
        unplaced_cores=arranged.placed.unplaced_cores,
        unplaced=arranged.placed.unplaced,
        policies=tuple(
            policy_sums(
                policies[name],
                part,
                there=request.capacity_cores * peaks[name] / together,
                node=_node(request, peaks[name] / together),
            )
            for name, part in by_policy.items()
        ),
        workloads=tuple(
            _workload(row, share, saving_of(typical, row.policy.target))
            for row, share, typical in zip(rows, arranged.shares, usual.shares, strict=True)
        ),
        seconds=0.0,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Arranged:
    """Where the replicas of these rows are planned."""

    capacity_cores: float
    placed: Placeable
    owned: Mapping[str, int]
    """Replicas on owned nodes, by workload."""
    shares: Sequence[Share]
    """In the sequence of the rows."""


def _arranged(rows: Sequence[_Row], request: PlanRequest, target: float) -> _Arranged:
    counted_as_owned = [one for one in request.policies if not _elastic_priced(one)]
    capacity = request.capacity_cores + sum(one.elastic_cores for one in counted_as_owned)
    placed = allocate_placeable(
        [row.shared for row in rows],
        {row.need.workload: row.requests for row in rows},
        Nodes((*request.nodes, *seen_elastic(counted_as_owned))) if request.nodes else None,
        capacity_cores=capacity,
        target_utilization=target,
    )
    allocation, demands = placed.allocation, placed.demands
    settled = settle(
        {row.need.workload: kept for row in rows if (kept := _held(row, request.previous_owned)) is not None},
        allocation.thresholds,
        demands=demands,
        capacity_cores=capacity,
        target_utilization=target,
    )
    asked = {row.need.workload: row.need.replicas for row in rows if row.planned}
    owned = placed.lowered(grown(settled, asked, demands=demands, usable_cores=allocation.usable_cores))
    shares = on_elastic(
        [_share(row, owned[row.need.workload], request) for row in rows],
        {row.need.workload: row.requests for row in rows},
        request,
    )
    return _Arranged(capacity, placed, owned, shares)


def _usual(rows: Sequence[_Row], request: PlanRequest, target: float) -> _Arranged | None:
    """The same for usual days, by which money and the number of nodes are told; None if the coming day is one.

    It is in force nowhere, so it holds on to nothing.
    """
    if not any(row.forecast for row in rows):
        return None
    usual = [
        _row(row.need, row.policy, replace(row.past, coming=None), request, target) if row.forecast else row
        for row in rows
    ]
    return _arranged(usual, msgspec.structs.replace(request, previous={}, previous_owned={}), target)


def _row(need: WorkloadNeed, policy: PolicyNeed, past: Past, request: PlanRequest, target: float) -> _Row:
    if past.coming is not None:
        replicas = past.coming.replicas
    elif past.cycle is not None:
        replicas = past.cycle.values
    else:
        replicas = np.full(STEPS, max(float(min(need.replicas, MOST_REPLICAS)), past.highest))
    cores = _cores(need, policy, request.node_cores, request.node_gib)
    demand = Demand(need.workload, replicas, cores)
    kept = request.previous.get(need.workload) if need.stance is Stance.AUTO and past.cycle is None else None
    prices = priced(need, policy, cores, request.node_cores)
    if kept is not None:
        owned = _within(request.previous_owned.get(need.workload, kept), need)
        demand = replace(demand, minimum=owned, maximum=owned, priority=_PINNED_NEXT)
        prices = replace(prices, owned_node_core=None, virtual_core=None)
    elif need.stance is Stance.PHYSICAL or (need.stance is Stance.AUTO and past.cycle is None):
        demand = replace(demand, minimum=demand.peak, priority=_PHYSICAL_FIRST)
    elif need.stance is Stance.PINNED:
        pinned = min(need.pinned, demand.peak)
        demand = replace(demand, minimum=pinned, maximum=pinned, priority=_PINNED_NEXT)
    else:
        most = None if need.maximum is None else max(need.maximum, need.minimum)
        demand = replace(demand, minimum=need.minimum, maximum=most, priority=need.priority)
    # The requests of others may leave less memory per core than a node has.
    left = _cores(need, policy, request.capacity_cores, request.capacity_gib)
    shared = replace(demand, cpu_cores=max(cores, left) * target / policy.target)
    return _Row(need, policy, past, demand, shared, prices, None if kept is None else _within(kept, need))


def _one_node(request: PlanRequest) -> NodeGroup:
    """An owned node of average size, less the pods that come with it."""
    cores = max(0.0, request.node_cores - request.per_node_cores)
    return NodeGroup(count=1, cores=cores, gib=request.node_gib * cores / request.node_cores if cores else 0.0)


def _node(request: PlanRequest, part: float) -> NodeSize | None:
    """One owned node as a policy sees it that has this part of them; None if its own pods leave no room there."""
    if request.node_cores <= request.per_node_cores:
        return None
    return NodeSize(request.node_cores, request.per_node_cores, request.other_cores * part)


def _within(replicas: int, need: WorkloadNeed) -> int:
    """The threshold within its bounds, which may have changed since it was planned."""
    return max(replicas if need.maximum is None else min(replicas, need.maximum), need.minimum)


def _cores(need: WorkloadNeed, policy: PolicyNeed, cores: float, gib: float) -> float:
    """The cores that one replica takes of capacity x target, given this ratio of cores and memory."""
    requested = dominant_cores(need.request_cores, need.request_gib, of_cores=cores, of_memory=gib)
    return max(need.request_cores * need.load, requested * policy.target, SMALLEST_CORES)


def _elastic_priced(policy: PolicyNeed) -> bool:
    return policy.elastic_node_hour is not None and policy.virtual_core_hour is not None


def _held(row: _Row, previous: Mapping[str, int]) -> int | None:
    """Its previous replicas on owned nodes; a workload that was not planned before has none to keep.

    Growth beyond its history is not kept: whether there is still room for it is decided again.
    """
    before = previous.get(row.need.workload) if row.planned else None
    return None if before is None else min(before, row.demand.most)


def _share(row: _Row, owned: int, request: PlanRequest) -> Share:
    """Its replicas on owned nodes, and those on any physical ones as far as prices make that worth it."""
    physical = owned
    if row.planned and row.prices.elastic_core is not None and row.prices.virtual_core:
        worth = worth_on_elastic(row.demand, owned, row.prices)
        physical = steadied(request.previous.get(row.need.workload), worth, row.demand, least=owned)
    elif row.kept is not None:
        physical = max(owned, row.kept)
    elif row.need.stance is Stance.PINNED:
        physical = max(owned, row.need.pinned)
    planned = row.planned or row.kept is not None
    return Share(
        row.demand,
        row.prices,
        owned,
        physical,
        planned=planned,
        learning=row.learning,
        policy=row.need.policy,
        on_node=on_one_node(row.demand, row.requests, _one_node(request), row.policy.target),
    )


def _workload(row: _Row, share: Share, saved: Saved) -> PlannedWorkload:
    coming = row.past.coming if row.planned else None
    return PlannedWorkload(
        workload=row.need.workload,
        policy=row.need.policy,
        threshold=share.physical if share.planned else None,
        kept=row.kept is not None,
        owned=share.owned,
        peak=row.demand.peak,
        history_seconds=row.past.seconds,
        request_cores=row.need.request_cores,
        request_gib=row.need.request_gib,
        confidence=row.past.cycle.confidence if row.past.cycle is not None else None,
        basis=coming.basis if coming is not None else None,
        forecast_loss_percent=loss_percent(coming.loss_ratio) if coming is not None else None,
        saving_per_hour=saved.against_owned,
        saving_per_hour_against_virtual=saved.against_virtual,
        problem=row.past.problem.message if row.past.problem is not None else "",
        problem_reason=row.past.problem.reason if row.past.problem is not None else "",
    )
