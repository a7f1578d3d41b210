"""The room that is kept for what is expected to be added."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.balance.reserve import RequestTrend
from spillway.domain.model.usage import Usage

WORTH_SECONDS = 1800.0
TREND_SECONDS = 900.0


def rise(*seen: tuple[float, int]) -> Usage:
    trend = RequestTrend()
    for at, cpu in seen:
        trend.note(Usage(0, cpu, 10 * cpu), at, WORTH_SECONDS)
    return trend.rise(WORTH_SECONDS)


@pytest.mark.parametrize(
    ("seen", "cpu"),
    [
        pytest.param((), 0, id="nothing is known"),
        pytest.param(((0.0, 1000),), 0, id="one reading"),
        pytest.param(((0.0, 1000), (TREND_SECONDS, 1500)), 1000, id="a rise goes on for twice as long"),
        pytest.param(((0.0, 1500), (TREND_SECONDS, 1000)), 0, id="a fall"),
        pytest.param(((0.0, 1000), (30.0, 1100)), 600, id="a short time counts as five minutes"),
        pytest.param(((0.0, 0), (1.0, 1000), (1.0 + TREND_SECONDS, 1000)), 0, id="what is older does not count"),
    ],
)
def test_the_trend(seen: tuple[tuple[float, int], ...], cpu: int) -> None:
    assert rise(*seen) == Usage(0, cpu, 10 * cpu)


def test_a_trend_is_known_once_enough_was_seen_and_anew_after_the_clock_was_set_back() -> None:
    trend, known = RequestTrend(), dict[float, bool]()
    assert not trend.known(WORTH_SECONDS)
    for at in (10_000.0, 10_299.0, 10_300.0, 11_800.0, 5_000.0, 5_300.0):
        trend.note(Usage(0, 1000, 0), at, WORTH_SECONDS)
        known[at] = trend.known(WORTH_SECONDS)
    assert [at for at, yes in known.items() if yes] == [10_300.0, 11_800.0, 5_300.0]


def test_what_was_requested_before_the_clock_was_set_back_is_no_trend() -> None:
    assert rise((10_000.0, 0), (9_000.0, 1000), (9_300.0, 1000)) == Usage(0, 0, 0)


@given(st.lists(st.tuples(st.integers(1, 120), st.integers(0, 10_000)), max_size=40))
def test_a_reserve_is_never_negative_and_never_beyond_what_the_highest_reading_explains(
    steps: list[tuple[int, int]],
) -> None:
    at, seen = 0.0, []
    for seconds, cpu in steps:
        at += seconds
        seen.append((at, cpu))
    found = rise(*seen).cpu_millis
    assert 0 <= found <= max((cpu for _, cpu in seen), default=0) * WORTH_SECONDS / 300
