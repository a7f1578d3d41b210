"""Which pods came by a move, so that they are left for a while."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.balance.arrivals import AGAIN_SECONDS, CLOCK_SECONDS, Arrivals

WEB = "Deployment/shop/web"
BEGAN, ENDED = 1000.0, 1030.0


@pytest.mark.parametrize(
    ("workload", "created", "now", "moved"),
    [
        pytest.param(WEB, BEGAN, ENDED, True, id="created when the move began"),
        pytest.param(WEB, 1012.0, ENDED + AGAIN_SECONDS - 1, True, id="until the time is over"),
        pytest.param(WEB, 1012.0, ENDED + AGAIN_SECONDS, False, id="after that time"),
        pytest.param(WEB, BEGAN - CLOCK_SECONDS, ENDED, True, id="by a clock that is behind"),
        pytest.param(WEB, ENDED + CLOCK_SECONDS, ENDED, True, id="by a clock that is ahead"),
        pytest.param(WEB, BEGAN - CLOCK_SECONDS - 1, ENDED, False, id="an older replica"),
        pytest.param(WEB, ENDED + CLOCK_SECONDS + 1, ENDED + 2, False, id="a newer replica"),
        pytest.param("Deployment/shop/api", 1012.0, ENDED, False, id="of another workload"),
    ],
)
def test_a_pod_counts_as_moved(workload: str, created: float, now: float, *, moved: bool) -> None:
    arrivals = Arrivals()
    arrivals.note(WEB, BEGAN, ENDED)
    assert arrivals.moved(workload, created, now, within=AGAIN_SECONDS) is moved


def test_moves_of_the_day_before_are_forgotten() -> None:
    arrivals = Arrivals()
    arrivals.note(WEB, BEGAN, ENDED)
    arrivals.forget(ENDED + 24 * 3600)
    assert arrivals == Arrivals()


@given(st.lists(st.integers(0, 200), max_size=8), st.integers(0, 400), st.integers(0, 400))
def test_no_pod_that_a_move_created_is_moved_within_the_time(begins: list[int], created: int, now: int) -> None:
    arrivals = Arrivals()
    for began in begins:
        arrivals.note(WEB, began, began + 10)
    arrivals.forget(now)
    expected = any(-30 <= created - began <= 10 + 30 and now - began - 10 < 60 for began in begins)
    assert arrivals.moved(WEB, created, now, within=60.0) is expected
