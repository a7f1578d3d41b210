"""A clock and a planner for the tests of thresholds."""

import pytest

from tests.support.fake_clock import FakeClock
from tests.unit.controllers.threshold.controller_cases import Planner


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def planner(clock: FakeClock) -> Planner:
    return Planner(clock)
