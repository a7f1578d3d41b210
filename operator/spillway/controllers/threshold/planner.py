"""The planner: it reads the histories of the workloads in batches, folds each into a cycle, and solves.

Contract: it holds one batch of history and one day per workload, whatever the length of the history. It runs in the
planning process or in the command line, never in the operator's event loop.
"""

import time

from msgspec.structs import replace

from spillway.domain.threshold.history import STEP_SECONDS
from spillway.domain.threshold.past import WITHOUT_SCALE, Past, past_of
from spillway.domain.threshold.request import Plan, PlanRequest, Stance
from spillway.domain.threshold.solve import solve
from spillway.sources.prometheus import Prometheus
from spillway.sources.prometheus_replicas import HistoryRequest, histories


async def make_plan(request: PlanRequest, prometheus: Prometheus) -> Plan:
    """The plan for this request.

    Raises:
        PrometheusError: the history cannot be read.
    """
    begun = time.perf_counter()
    pasts = await pasts_of(request, prometheus)
    return replace(solve(request, pasts), seconds=time.perf_counter() - begun)


async def pasts_of(request: PlanRequest, prometheus: Prometheus) -> dict[str, Past]:
    """The folded history of each workload; one that cannot be read or used has its problem, and fails alone.

    Raises:
        PrometheusError: the history cannot be read.
    """
    wanted = [
        HistoryRequest(one.workload, one.history_seconds, one.query, one.per_replica)
        for one in request.workloads
        if one.stance is not Stance.VIRTUAL and one.per_replica > 0
    ]
    lengths = {one.workload: one.seconds for one in wanted}
    pasts = {one.workload: WITHOUT_SCALE for one in request.workloads if one.per_replica <= 0}
    async for batch in histories(prometheus, wanted, now=request.now, step_seconds=STEP_SECONDS):
        pasts.update((one.workload, past_of(one, lengths[one.workload], now=request.now)) for one in batch)
    return pasts
