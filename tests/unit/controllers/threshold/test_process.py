"""The planning process as the operator starts it: a request goes in, a plan or an error comes out."""

import pytest

from spillway.controllers.threshold.process import PlanFailedError, plan_beside
from spillway.domain.threshold.request import PlanRequest
from spillway.sources.connection import Connection

NOWHERE = Connection(url="http://127.0.0.1:1")
REQUEST = PlanRequest(
    now=1e9, capacity_cores=8.0, node_cores=4.0, capacity_gib=32.0, node_gib=16.0, policies=(), workloads=()
)


async def test_a_plan_is_made_in_another_process() -> None:
    plan = await plan_beside(REQUEST, NOWHERE)
    assert (plan.made, plan.workloads) == (1e9, ())


async def test_a_process_that_takes_too_long_is_ended() -> None:
    with pytest.raises(PlanFailedError) as caught:
        await plan_beside(REQUEST, NOWHERE, seconds=0.0)
    assert caught.value.reason == "PlanTooSlow"
