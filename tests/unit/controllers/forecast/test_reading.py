"""What is read of each workload, in which order, and what a failure costs."""

import re

import numpy as np
import pytest

from spillway.controllers.forecast.reading import CHUNK_STEPS, OVERLAP_STEPS, Reading, identity_of
from spillway.domain.forecast.refresh import DemandNeed, DemandSource, RefreshRequest
from spillway.domain.forecast.spec import DAY_STEPS, STEP_SECONDS
from spillway.sources.connection import Connection
from spillway.sources.prometheus import PrometheusUnreachableError, RefusedError, Series

NOW = 1_790_000_100.0
END = int(NOW // STEP_SECONDS)


class Server:
    """Answers users' queries with 1 at each step, and notes which steps were asked for by which workloads."""

    connection = Connection(url="http://prometheus.test")

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[str, ...], int, int]] = []
        self.refused: set[str] = set()
        self.away = False
        self.unreadable_before = 0
        """Steps before this one are refused."""

    async def check(self) -> None:
        if self.away:
            raise PrometheusUnreachableError("away")

    async def instant(
        self, query: str, at: float, *, seconds: float = 0.0, lookback_seconds: float | None = None
    ) -> list[Series]:
        raise NotImplementedError

    async def range(
        self,
        query: str,
        start: float,
        end: float,
        step_seconds: float,
        *,
        seconds: float = 0.0,  # noqa: ARG002
    ) -> list[Series]:
        names = tuple(re.findall(r'"spillway_workload", "Deployment/shop/(\w+)"', query))
        first = int(start // STEP_SECONDS) - 1
        self.asked.append((names, first, int(end // STEP_SECONDS)))
        await self.check()
        if self.refused & set(names) or first < self.unreadable_before:
            raise RefusedError("too many samples")
        times = np.arange(start, end + 1, step_seconds)
        return [Series({"spillway_workload": f"Deployment/shop/{name}"}, times, times * 0 + 1) for name in names]


class Stage:
    def __init__(self, *names: str, days: int = 3) -> None:
        self.server, self.rested = Server(), 0
        self.reading = Reading(self.server, self.server, clock=self._clock, sleep=self._sleep)
        self.needs = [
            DemandNeed(f"Deployment/shop/{name}", DemandSource.QUERY, 1.0, "up", history_seconds=days * 86_400.0)
            for name in names
        ]
        self.time = 0.0

    def _clock(self) -> float:
        self.time += 1.0
        return self.time

    async def _sleep(self, _seconds: float) -> None:
        self.rested += 1

    async def refresh(self, now: float = NOW, *, seconds: float = 1000.0) -> list[tuple[tuple[str, ...], int, int]]:
        """What was asked; steps are counted back from the present one."""
        self.server.asked.clear()
        needs = self.reading.prepare(RefreshRequest(now, tuple(self.needs)))
        await self.reading.read_new()
        await self.reading.read_older(needs, seconds)
        end = self.reading.grid.end
        return [(names, end - first, end - last) for names, first, last in self.server.asked]

    def known_steps(self, index: int = 0) -> int:
        _, values = self.reading.grid.history([identity_of(self.needs[index])], 28 * DAY_STEPS)
        return int(np.isfinite(values).sum())


async def test_the_last_day_of_all_comes_first_then_the_day_before_of_all() -> None:
    stage = Stage("a", "b")

    assert await stage.refresh() == [
        (("a",), CHUNK_STEPS, 0),
        (("b",), CHUNK_STEPS, 0),
        (("a", "b"), 2 * CHUNK_STEPS, CHUNK_STEPS),
        (("a", "b"), 3 * CHUNK_STEPS, 2 * CHUNK_STEPS),
    ]
    assert stage.rested == 2, "after each request for older history"
    assert stage.known_steps() == 3 * DAY_STEPS
    assert await stage.refresh(NOW + 300) == [(("a",), 1 + OVERLAP_STEPS, 0), (("b",), 1 + OVERLAP_STEPS, 0)]


async def test_a_new_workload_is_read_with_the_others_and_its_past_after_theirs() -> None:
    stage = Stage("a")
    await stage.refresh()
    stage.needs += Stage("b").needs

    assert await stage.refresh(NOW + 300) == [
        (("b",), CHUNK_STEPS, 0),
        (("a",), 1 + OVERLAP_STEPS, 0),
        (("b",), 2 * CHUNK_STEPS, CHUNK_STEPS),
        (("b",), 3 * CHUNK_STEPS, 2 * CHUNK_STEPS),
    ]


async def test_a_workload_that_fails_is_left_alone_for_a_while_that_doubles() -> None:
    stage = Stage("a", "b")
    stage.server.refused = {"a"}
    asked = []
    for step in range(14):
        stage.server.asked.clear()
        asked.append(any(names == ("a",) for names, _, _ in await stage.refresh(NOW + 300 * step)))

    assert [step for step, was in enumerate(asked) if was] == [0, 1, 3, 7]
    row = stage.reading.rows[identity_of(stage.needs[0])]
    assert row.problem is not None
    assert row.problem.reason == "QueryRefused"
    assert stage.known_steps(1) > 2 * DAY_STEPS, "the other one is read as if nothing was"

    stage.server.refused = set()
    await stage.refresh(NOW + 300 * 15)
    assert row.problem is None


async def test_a_day_that_cannot_be_read_is_left_out_and_the_workload_is_not() -> None:
    stage = Stage("a", days=4)
    stage.server.unreadable_before = END - 2 * CHUNK_STEPS
    await stage.refresh()

    assert stage.known_steps() == 2 * DAY_STEPS
    assert stage.reading.rows[identity_of(stage.needs[0])].problem is None
    assert stage.reading.missing({identity_of(one): one for one in stage.needs}) == []


async def test_a_server_that_is_away_is_told_and_what_was_missed_is_read_later() -> None:
    stage = Stage("a")
    await stage.refresh()
    stage.server.away = True
    with pytest.raises(PrometheusUnreachableError):
        await stage.refresh(NOW + 300)
    stage.server.away = False

    assert await stage.refresh(NOW + 3600) == [(("a",), 12 + OVERLAP_STEPS, 0)]


async def test_after_more_than_a_day_away_the_history_is_read_again() -> None:
    stage = Stage("a")
    await stage.refresh()

    asked = await stage.refresh(NOW + 3 * 86_400)

    assert [first for _, first, _ in asked] == [CHUNK_STEPS, 2 * CHUNK_STEPS, 3 * CHUNK_STEPS]
    assert stage.known_steps() >= 3 * DAY_STEPS


async def test_time_that_is_up_ends_the_reading_of_older_history() -> None:
    stage = Stage("a", days=28)
    await stage.refresh(seconds=5.0)
    needs = {identity_of(one): one for one in stage.needs}
    assert stage.reading.missing(needs)
    before = stage.known_steps()
    await stage.refresh(seconds=5.0)
    assert stage.known_steps() > before


async def test_a_longer_history_than_before_is_read_on() -> None:
    stage = Stage("a", days=2)
    await stage.refresh()
    stage.needs = Stage("a", days=4).needs
    await stage.refresh()

    assert stage.known_steps() == 4 * DAY_STEPS


async def test_who_is_not_asked_for_is_forgotten() -> None:
    stage = Stage("a", "b")
    await stage.refresh()
    gone = stage.needs.pop()
    await stage.refresh()

    assert list(stage.reading.rows) == [identity_of(stage.needs[0])]
    assert identity_of(gone) not in stage.reading.grid
