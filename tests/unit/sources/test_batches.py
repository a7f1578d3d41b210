"""Batches whose requests fail: who is left without a history, and who is not."""

import asyncio
from collections.abc import Sequence
from typing import Final

import pytest

from spillway.domain.threshold.history import NO_POINTS, History
from spillway.sources.batches import Batches, Check, Patience
from spillway.sources.prometheus import (
    AnswerTooLargeError,
    BusyError,
    DeniedError,
    PrometheusError,
    PrometheusUnreachableError,
    RefusedError,
    TimedOutError,
    TooManyRequestsError,
)

NAMES: Final = [f"Deployment/shop/{index}" for index in range(40)]


async def alive() -> None:
    """A server that answers a trivial query."""


async def away() -> None:
    raise PrometheusUnreachableError("away")


class Asked:
    """A request that fails with `error` if one of these workloads is in it, and takes `takes` seconds then."""

    def __init__(self, bad: Sequence[str], error: PrometheusError, takes: float = 0.0) -> None:
        self.requests: list[tuple[int, float]] = []
        self.now = 0.0
        self._bad, self._error, self._takes = set(bad), error, takes

    def clock(self) -> float:
        return self.now

    async def __call__(self, batch: Sequence[str], seconds: float) -> list[History]:
        self.requests.append((len(batch), seconds))
        await asyncio.sleep(0)
        if self._bad & set(batch):
            self.now += min(self._takes, seconds)
            raise self._error
        return [History(one, NO_POINTS, NO_POINTS) for one in batch]


def batches(asked: Asked, check: Check = alive, patience: Patience | None = None) -> Batches[str]:
    return Batches(check, lambda one: one, patience or Patience(), clock=asked.clock)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TimedOutError("too long"), "QueryTimedOut"),
        (RefusedError("bad_data"), "QueryRefused"),
        (BusyError("500"), "QueryFailed"),
        (AnswerTooLargeError("256 MiB"), "AnswerTooLarge"),
    ],
)
async def test_a_workload_fails_alone_with_its_reason(error: PrometheusError, reason: str) -> None:
    asked = Asked([NAMES[3], NAMES[17]], error)

    found = await batches(asked).read(NAMES, asked)

    assert sorted(one.workload for one in found) == sorted(NAMES)
    problems = {one.workload: one.problem for one in found if one.problem is not None}
    assert set(problems) == {NAMES[3], NAMES[17]}
    assert {(one.reason, one.message) for one in problems.values()} == {(reason, str(error))}


@pytest.mark.parametrize("error", [TimedOutError("too long"), BusyError("503")])
async def test_a_server_that_answers_nothing_else_either_is_the_cause(error: PrometheusError) -> None:
    asked = Asked(NAMES[:1], error)

    with pytest.raises(type(error)):
        await batches(asked, away).read(NAMES, asked)
    assert len(asked.requests) == 1


@pytest.mark.parametrize(
    "error", [DeniedError("401"), PrometheusUnreachableError("refused"), TooManyRequestsError("429")]
)
async def test_what_no_query_can_cause_is_raised(error: PrometheusError) -> None:
    asked = Asked(NAMES[:1], error)

    with pytest.raises(type(error)):
        await batches(asked).read(NAMES, asked)


async def test_an_own_query_that_is_refused_for_one_workload_is_so_for_all() -> None:
    asked = Asked(NAMES, RefusedError("no such tenant"))

    with pytest.raises(RefusedError, match="tenant"):
        await batches(asked).read(NAMES, asked, own=True)
    assert len(asked.requests) < len(NAMES), "it does not ask for each"


async def test_many_bad_queries_cost_a_bounded_time() -> None:
    asked = Asked([name for index, name in enumerate(NAMES) if index % 4 == 0], TimedOutError("too long"), takes=1e9)
    patience = Patience(longest=30, shortest=1, budget=100)
    reader = batches(asked, patience=patience)
    hundred = [NAMES[first : first + 4] for first in range(0, 40, 4)] * 10

    found = [one for batch in hundred for one in await reader.read(batch, asked)]

    assert len(found) == 400
    assert patience.budget == 0
    # The budget, the last batch that was still split, and a second for each batch after it.
    assert asked.now <= 100 + 60 + len(hundred)
    assert asked.requests[-1] == (4, 1)
    last = [one.problem for one in found[-4:]]
    assert all(one is not None and "no time to ask for each" in one.message for one in last)
    first = [one.problem is None for one in found[:4]]
    assert first.count(True) == 3, "while there is time, only the bad one fails"
