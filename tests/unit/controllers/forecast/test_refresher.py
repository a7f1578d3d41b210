"""The forecasts of a refresh: for the window, and for headroom one start-up beyond it."""

import re
from collections.abc import Callable
from typing import Final

import msgspec
import numpy as np
import pytest

from spillway.controllers.forecast.reading import Reading
from spillway.controllers.forecast.refresher import Refresher
from spillway.domain.forecast.occasions import Occasion
from spillway.domain.forecast.refresh import DemandNeed, DemandSource, RefreshRequest, WorkloadDemand
from spillway.domain.forecast.spec import STEP_SECONDS, Floats
from spillway.domain.model.units import DAY_SECONDS
from spillway.sources.connection import Connection
from spillway.sources.prometheus import Series

NOON: Final = 20_000.5 * DAY_SECONDS
VALLEY, PEAK = 20.0, 100.0
NEED: Final = DemandNeed(
    "Deployment/shop/web",
    DemandSource.QUERY,
    10.0,
    "up",
    window_seconds=600.0,
    startup_seconds=240.0,
    beyond_seconds=240.0,
)


def daily_peak(begins: Floats) -> Floats:
    """Demand that is at its peak for an hour from noon on, every day."""
    since_noon = (begins - NOON) % DAY_SECONDS
    return np.where(since_noon < 3600, PEAK, VALLEY) * (1 + 0.01 * np.sin(begins))


def noise(begins: Floats) -> Floats:
    """Demand between its valley and three times as much, which no day repeats."""
    return VALLEY * (1 + 2 * (np.sin(begins * 12.9898) * 43758.5453 % 1))


class Server:
    """A server that has this demand of every workload."""

    connection = Connection(url="http://prometheus.test")

    def __init__(self, demand: Callable[[Floats], Floats]) -> None:
        self._demand = demand

    async def check(self) -> None:
        """It always answers."""

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
        times = np.arange(start, end + 1, step_seconds)
        # A value belongs to the step that ends with it.
        values = self._demand(times - STEP_SECONDS)
        names = re.findall(r'"spillway_workload", "([^"]+)"', query)
        return [Series({"spillway_workload": name}, times, values) for name in names]


async def _refreshed(
    minutes_before_noon: int, *needs: DemandNeed, demand: Callable[[Floats], Floats] = daily_peak
) -> tuple[WorkloadDemand, ...]:
    server = Server(demand)
    refresher = Refresher(Reading(server, server))
    return (await refresher.refresh(RefreshRequest(NOON - 60 * minutes_before_noon, needs))).forecasts


async def _forecast(minutes_before_noon: int, need: DemandNeed = NEED) -> WorkloadDemand:
    [found] = await _refreshed(minutes_before_noon, need)
    assert found.predictable
    return found


async def test_a_peak_beyond_the_window_is_told_one_start_up_before_it_is_within() -> None:
    outside = await _forecast(15)
    assert outside.highest == pytest.approx(2.0, rel=0.1)
    assert outside.later == pytest.approx(2.0, rel=0.1)
    ahead = await _forecast(10)
    assert ahead.highest == pytest.approx(2.0, rel=0.1)
    assert ahead.later == pytest.approx(10.0, rel=0.1)
    within = await _forecast(5)
    assert within.highest == pytest.approx(10.0, rel=0.1)
    assert within.later == pytest.approx(10.0, rel=0.1)


def random_walk(begins: Floats) -> Floats:
    """Demand that goes up and down by chance."""
    times = np.arange(NOON - 16 * DAY_SECONDS, NOON + DAY_SECONDS, STEP_SECONDS)
    steps = np.random.default_rng(3).normal(0, 0.03, times.size)
    return np.interp(begins, times, VALLEY * np.exp(np.cumsum(steps)))


async def test_a_sale_beyond_the_window_is_told_for_a_workload_that_nothing_else_predicts() -> None:
    sale = Occasion(NOON, NOON + DAY_SECONDS, factor=4.0)
    need = msgspec.structs.replace(NEED, occasions=(sale,))
    for minutes, told in ((30, False), (15, False), (10, True), (5, True)):
        [found] = await _refreshed(minutes, need, demand=random_walk)
        [usual] = await _refreshed(minutes, NEED, demand=random_walk)
        assert not found.predictable
        assert usual.later == 0
        last_week = random_walk(np.arange(NOON, NOON + 600, STEP_SECONDS) - 7 * DAY_SECONDS).max() / NEED.per_replica
        assert found.later == pytest.approx(4 * last_week if told else 0.0, rel=0.05)
        assert found.highest == (pytest.approx(4 * last_week, rel=0.05) if minutes == 5 else usual.highest)


async def test_a_peak_soon_after_the_window_is_told_so_that_it_holds_a_scale_down_back() -> None:
    for minutes, expected in ((30, 2.0), (20, 10.0), (10, 10.0), (5, 10.0)):
        assert (await _forecast(minutes)).soon_after == pytest.approx(expected, rel=0.1)


async def test_on_a_named_day_nothing_is_expected_after_the_window_that_ordinary_days_had() -> None:
    holiday = Occasion(NOON - DAY_SECONDS / 2, NOON + DAY_SECONDS / 2, factor=0.3)
    found = await _forecast(20, msgspec.structs.replace(NEED, occasions=(holiday,)))
    assert found.soon_after == found.highest == pytest.approx(2.0, rel=0.1)


async def test_without_headroom_nothing_beyond_the_window_is_forecast() -> None:
    assert (await _forecast(10, msgspec.structs.replace(NEED, beyond_seconds=0.0))).later == 0


async def test_the_price_of_each_workload_decides_how_much_is_kept_in_reserve() -> None:
    prices = {f"Deployment/shop/web-{price}": float(price) for price in (1, 10, 100)}
    needs = [msgspec.structs.replace(NEED, workload=name, price=price) for name, price in prices.items()]
    highest = {one.workload: one.highest for one in await _refreshed(15, *needs, demand=noise)}
    cheap, usual, dear = (highest[name] for name in prices)
    assert cheap < usual < dear
    # A workload of the default price gets what it gets alone.
    [alone] = await _refreshed(15, NEED, demand=noise)
    assert usual == alone.highest
