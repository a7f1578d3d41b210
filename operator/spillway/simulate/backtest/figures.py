"""The figures of a contender: what its nodes cost, what they were used for, and what demand was not served.

Contract: only counted steps count. Owned nodes are paid for at every step, elastic ones from their order until they
are removed, virtual ones by the requests of the pods on them. Percentages are of the whole time.
"""

from dataclasses import dataclass

import msgspec
import numpy as np

from spillway.domain.forecast.spec import DAY_STEPS, HOUR_STEPS, Floats
from spillway.simulate.backtest.case import LEARNING_STEPS, Case
from spillway.simulate.backtest.scalings import scalings
from spillway.simulate.course import Course


class Figures(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One contender's figures; a part of the output of `spillway backtest`."""

    cost: float
    owned_cost: float
    elastic_cost: float
    virtual_cost: float
    elastic_node_hours: float
    virtual_core_hours: float
    unmet_percent: float
    """Demand beyond what the ready replicas carry at all of their CPU request, of all demand."""
    above_target_percent: float
    """Demand beyond what they carry at the target, of all demand."""
    waiting_pod_hours: float
    """Hours that pods waited for a node."""
    headroom_core_hours: float
    """CPU on elastic nodes that headroom kept free."""
    scalings: int
    """Changes of the number of replicas of all workloads."""
    needless_scale_downs: int
    """Scale-downs after which the workload was scaled up within a quarter of an hour."""
    evictions: int
    cpu_percent: float
    """CPU in use on owned and elastic nodes, of what is allocatable there."""
    packing_percent: float
    """CPU requested there, of what is allocatable there."""
    cost_by_day: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class CpuByTier:
    """CPU requests by tier, at each counted step."""

    owned: Floats
    elastic: Floats
    virtual: Floats
    headroom: Floats
    """What headroom holds on elastic nodes beside them."""


@dataclass(frozen=True, slots=True, eq=False)
class ContenderResult:
    """One contender's result."""

    name: str
    figures: Figures
    tiers: CpuByTier


def outcome_of(name: str, case: Case, course: Course) -> ContenderResult:
    """The outcome of a replay."""
    prices, counted = case.setup.prices, slice(LEARNING_STEPS, None)
    evictions = course.evictions
    elastic = course.elastic_nodes[counted] * prices.elastic_node
    virtual = course.virtual_cores[counted] * prices.virtual_core + course.virtual_gib[counted] * prices.virtual_gib
    figures = _figures(case, elastic, virtual)
    changes, needless = scalings(course.replicas[:, LEARNING_STEPS:])
    load = float(course.load_cores[counted].sum())
    allocatable = float(course.allocatable_cores[counted].sum())
    tiers = CpuByTier(
        course.fixed_cores[counted],
        course.elastic_cores[counted],
        course.virtual_cores[counted],
        course.headroom_cores[counted],
    )
    return ContenderResult(
        name,
        msgspec.structs.replace(
            figures,
            elastic_node_hours=float(course.elastic_nodes[counted].sum()) / HOUR_STEPS,
            virtual_core_hours=float(tiers.virtual.sum()) / HOUR_STEPS,
            unmet_percent=percent(float(course.unmet_cores[counted].sum()), load),
            above_target_percent=percent(float(course.late_cores[counted].sum()), load),
            waiting_pod_hours=float(course.waiting_pods[counted].sum()) / HOUR_STEPS,
            headroom_core_hours=float(tiers.headroom.sum()) / HOUR_STEPS,
            scalings=changes,
            needless_scale_downs=needless,
            evictions=int(evictions[-1] - evictions[LEARNING_STEPS - 1]),
            cpu_percent=percent(float(course.used_cores[counted].sum()), allocatable),
            packing_percent=percent(float((tiers.owned + tiers.elastic).sum()), allocatable),
        ),
        tiers,
    )


def costs(case: Case, elastic: Floats, virtual: Floats, nodes: int | None = None) -> Figures:
    """Figures with the costs alone; the series are of an hour of each counted step."""
    return _figures(case, elastic, virtual, nodes)


def _figures(case: Case, elastic: Floats, virtual: Floats, nodes: int | None = None) -> Figures:
    owned = np.full(elastic.size, (case.setup.nodes if nodes is None else nodes) * case.setup.prices.owned_node)
    by_step = (owned + elastic + virtual) / HOUR_STEPS
    days = np.add.reduceat(by_step, np.arange(0, by_step.size, DAY_STEPS))
    return Figures(
        cost=float(by_step.sum()),
        owned_cost=float(owned.sum()) / HOUR_STEPS,
        elastic_cost=float(elastic.sum()) / HOUR_STEPS,
        virtual_cost=float(virtual.sum()) / HOUR_STEPS,
        elastic_node_hours=0.0,
        virtual_core_hours=0.0,
        unmet_percent=0.0,
        above_target_percent=0.0,
        waiting_pod_hours=0.0,
        headroom_core_hours=0.0,
        scalings=0,
        needless_scale_downs=0,
        evictions=0,
        cpu_percent=0.0,
        packing_percent=0.0,
        cost_by_day=tuple(float(day) for day in days),
    )


def percent(part: float, whole: float) -> float:
    """100 x part / whole; 0 of nothing."""
    return 100 * part / whole if whole > 0 else 0.0
