"""The planning process: decoding millions of samples and allocating would delay admission.

Contract: the request goes in as JSON, the plan comes out as JSON, and the process ends, with its memory. It runs at a
lower priority than the process that answers admission requests. A thread is not enough: it shares the interpreter's
lock, and decoding one batch of history holds the lock for some 100 ms. An error of Prometheus is returned as the same
error.
"""

import asyncio
import os
import sys
from typing import Final

import msgspec

from spillway.controllers import child_process
from spillway.controllers.child_process import UnansweredError
from spillway.controllers.threshold.planner import make_plan
from spillway.domain.threshold.request import Plan, PlanRequest
from spillway.sources.connection import Connection
from spillway.sources.prometheus import Prometheus, PrometheusError

SECONDS: Final = 600.0
"""A plan that takes longer is abandoned."""
_MODULE: Final = "spillway.controllers.threshold.process"


class _Job(msgspec.Struct, frozen=True):
    connection: Connection
    request: PlanRequest


class _Trouble(msgspec.Struct, frozen=True):
    reason: str
    message: str


class _Result(msgspec.Struct, frozen=True, omit_defaults=True):
    plan: Plan | None = None
    trouble: _Trouble | None = None


class PlanFailedError(UnansweredError):
    """The error of a request without a plan."""


async def plan_beside(request: PlanRequest, connection: Connection, *, seconds: float = SECONDS) -> Plan:
    """Make a plan in another process.

    Raises:
        PlanFailedError: Prometheus has no answer, or the process failed or took too long.
    """
    job = msgspec.json.encode(_Job(connection, request))
    process = await child_process.start(_MODULE)
    try:
        async with asyncio.timeout(seconds):
            answer, _ = await process.communicate(job)
    except TimeoutError as error:
        raise PlanFailedError("PlanTooSlow", f"the plan was not made within {seconds:g} s") from error
    finally:
        await child_process.end(process)
    try:
        result = msgspec.json.decode(answer, type=_Result)
    except msgspec.DecodeError as error:
        message = f"the planning process ended with {process.returncode} and no plan; its log says why"
        raise PlanFailedError("PlanFailed", message) from error
    if result.plan is None:
        trouble = result.trouble or _Trouble("PlanFailed", "")
        raise PlanFailedError(trouble.reason, trouble.message)
    return result.plan


async def _run(job: _Job) -> _Result:
    try:
        async with Prometheus(job.connection) as prometheus:
            return _Result(plan=await make_plan(job.request, prometheus))
    except PrometheusError as error:
        return _Result(trouble=_Trouble(error.reason, str(error)))


def main() -> None:
    """Read a job from standard input, and write the result."""
    answer = os.fdopen(child_process.answers_to(), "wb")
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=_Job)
    result = asyncio.run(_run(job))
    with answer:
        answer.write(msgspec.json.encode(result))


if __name__ == "__main__":
    main()
