"""A clock and a forecasting process for the tests of forecasts."""

import pytest

from tests.support.fake_clock import FakeClock
from tests.unit.controllers.forecast.forecast_cases import Process


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def process(clock: FakeClock) -> Process:
    return Process(clock)
