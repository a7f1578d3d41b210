"""Makes one plan: reads each workload's past batch by batch, folds it into a cycle at once, and solves.

Contract: holds one batch of history and one day a workload, whatever the length of the past. Runs where it may take its
time: in the planning process or in the command line, never in the operator's own loop.
"""

import time

from msgspec.structs import replace

from spillway.domain.threshold.history import STEP_SECONDS
from spillway.domain.threshold.request import Plan, PlanRequest, Stance
from spillway.domain.threshold.solve import Past, past_of, solve
from spillway.sources.history import Wanted, histories
from spillway.sources.prometheus import Prometheus


async def make_plan(request: PlanRequest, prometheus: Prometheus) -> Plan:
    """The plan for this request.

    Raises:
        PrometheusError: the past cannot be had.
    """
    begun = time.perf_counter()
    pasts = await pasts_of(request, prometheus)
    return replace(solve(request, pasts), seconds=time.perf_counter() - begun)


async def pasts_of(request: PlanRequest, prometheus: Prometheus) -> dict[str, Past]:
    """What is left of each workload's history, by workload.

    Raises:
        PrometheusError: it cannot be had.
    """
    wanted = [
        Wanted(one.workload, one.history_seconds, one.query, one.per_replica)
        for one in request.workloads
        if one.stance is not Stance.VIRTUAL
    ]
    pasts: dict[str, Past] = {}
    async for batch in histories(prometheus, wanted, now=request.now, step_seconds=STEP_SECONDS):
        pasts.update((one.workload, past_of(one)) for one in batch)
    return pasts
