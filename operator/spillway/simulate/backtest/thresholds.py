"""The thresholds of each day of a backtest, by the planner of production, from the demand before that day.

Contract: pure. A plan is made at the begin of each counted day and holds for the day. Before the first one every
workload learns, so all its pods are physical. What owned nodes cost decides on no threshold and is left out.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence

import msgspec
import numpy as np

from spillway.domain.forecast.spec import DAY_STEPS, STEP_SECONDS
from spillway.domain.threshold.history import History
from spillway.domain.threshold.node_groups import NodeGroup
from spillway.domain.threshold.past import past_of
from spillway.domain.threshold.request import Plan, PlanRequest, PolicyNeed, Stance, WorkloadNeed
from spillway.domain.threshold.solve import solve
from spillway.simulate.backtest.case import LEARNING_STEPS, Case, Service

_POLICY = "backtest"
_HISTORY_STEPS = 14 * DAY_STEPS


class Thresholds(msgspec.Struct, frozen=True):
    """The thresholds from a step on."""

    step: int
    replicas: tuple[int | None, ...]
    """By service; None keeps all of its pods physical."""


def in_force(planned: Sequence[Thresholds], step: int) -> Thresholds:
    """Those of these thresholds, in order of their steps, that hold at a step."""
    return planned[bisect_right(planned, step, key=lambda one: one.step) - 1]


def thresholds(case: Case, progress: Callable[[], None] = lambda: None) -> list[Thresholds]:
    """The thresholds of each day; `progress` is called after each."""
    found = [Thresholds(0, (None,) * len(case.services))]
    for step, plan in _plans(case):
        planned = plan.thresholds()
        found.append(Thresholds(step, tuple(planned.get(one.workload) for one in case.services)))
        progress()
    return found


def _plans(case: Case) -> Iterator[tuple[int, Plan]]:
    setup = case.setup
    request = PlanRequest(
        now=case.start,
        capacity_cores=setup.nodes * setup.node_cores,
        node_cores=setup.node_cores,
        capacity_gib=setup.nodes * setup.node_gib,
        node_gib=setup.node_gib,
        nodes=(NodeGroup(count=setup.nodes, cores=setup.node_cores, gib=setup.node_gib),),
        policies=(_policy(case),),
        workloads=(),
    )
    times = case.start + np.arange(case.demand.shape[1]) * STEP_SECONDS
    for step in range(LEARNING_STEPS, case.demand.shape[1], DAY_STEPS):
        since = max(0, step - _HISTORY_STEPS)
        request = msgspec.structs.replace(
            request,
            now=float(times[step]),
            workloads=tuple(
                _need(case, one, row[since:step]) for one, row in zip(case.services, case.demand, strict=True)
            ),
        )
        pasts = {}
        for one, row in zip(case.services, case.demand, strict=True):
            known = np.isfinite(row[since:step])
            pasts[one.workload] = past_of(
                History(one.workload, times[since:step][known], row[since:step][known]), now=request.now
            )
        plan = solve(request, pasts)
        request = msgspec.structs.replace(request, previous=plan.thresholds(), previous_owned=plan.owned())
        yield step, plan


def _policy(case: Case) -> PolicyNeed:
    setup, prices = case.setup, case.setup.prices
    elastic = setup.elastic_nodes > 0
    return PolicyNeed(
        name=_POLICY,
        target=setup.target,
        elastic_node_hour=prices.elastic_node if elastic else None,
        virtual_core_hour=prices.virtual_core,
        virtual_gib_hour=prices.virtual_gib,
        currency=prices.currency,
        startup_seconds=setup.pod_startup_seconds,
        elastic_cores=setup.elastic_nodes * setup.node_cores,
        elastic_node_cores=setup.node_cores if elastic else 0.0,
        elastic_node_gib=setup.node_gib if elastic else 0.0,
        elastic_max_nodes=setup.elastic_nodes if elastic else None,
    )


def _need(case: Case, service: Service, row: np.ndarray[tuple[int], np.dtype[np.float64]]) -> WorkloadNeed:
    known = row[np.isfinite(row)]
    return WorkloadNeed(
        workload=service.workload,
        policy=_POLICY,
        stance=Stance.AUTO,
        replicas=int(np.ceil(known[-1])) if known.size else 0,
        request_cores=service.cores,
        request_gib=service.gib if case.setup.node_gib > 0 else 0.0,
        load=case.setup.target,
    )
