"""How many moves may begin, and for how long a workload rests after one."""

import pytest

from spillway.domain.balance.bounds import LONGEST_REST_SECONDS, WORKLOAD_SECONDS, MoveBounds, passes
from spillway.domain.surge.hindrance import Left
from spillway.domain.surge.patience import LONGEST_AVAILABLE_SECONDS, LONGEST_READY_SECONDS
from spillway.domain.surge.steps import SurgeOutcome

NOW = 10_000.0
WEB = "Deployment/shop/web"


def test_moves_in_a_minute_are_bounded() -> None:
    bounds = MoveBounds()
    for _ in range(2):
        bounds.began(NOW)
    assert [bounds.allowed(3, NOW + later) for later in (0, 59, 60)] == [1, 1, 3]
    assert bounds.allowed(1, NOW + 61) == 1


def test_moves_that_take_long_count_but_stop_no_others() -> None:
    bounds = MoveBounds()
    bounds.began(NOW)
    going = [NOW - 900.0, NOW - 600.0, NOW]
    assert bounds.allowed(6, NOW, going) == 3, "the one that has just begun counts once"
    assert [bounds.allowed(most, NOW + 60, going) for most in (1, 2, 3, 4, 6)] == [1, 1, 1, 1, 3]
    bounds.began(NOW + 60)
    assert bounds.allowed(1, NOW + 60, going) == 0


def test_moves_whose_replicas_never_become_ready_leave_one_to_begin_in_each_minute() -> None:
    """Each of their moves is in progress for as long as a surge waits."""
    bounds, going, most, patience = MoveBounds(), list[float](), 5, LONGEST_READY_SECONDS + LONGEST_AVAILABLE_SECONDS
    for now in (NOW + 60 * minute for minute in range(180)):
        going = [since for since in going if now - since <= patience]
        allowed = bounds.allowed(most, now, going)
        assert allowed >= 1
        for _ in range(allowed):
            bounds.began(now)
        going += [now] * allowed
        assert len(going) <= most + patience / 60


def test_a_workload_rests_longer_after_each_failure_until_a_move_succeeds() -> None:
    bounds, rests = MoveBounds(), []
    for _ in range(8):
        bounds.given_back(WEB, Left.AT_QUOTA, NOW)
        rests.append(bounds.resting[WEB] - NOW)
    assert rests[:3] == [WORKLOAD_SECONDS, 2 * WORKLOAD_SECONDS, 4 * WORKLOAD_SECONDS]
    assert rests[-1] == LONGEST_REST_SECONDS
    assert bounds.refused(NOW) == {WEB: Left.AT_QUOTA}
    assert bounds.refused(NOW + LONGEST_REST_SECONDS) == {}
    bounds.succeeded(WEB, NOW)
    assert (bounds.refused(NOW), bounds.done) == ({}, 1)
    bounds.given_back(WEB, Left.PAUSED, NOW)
    assert bounds.resting[WEB] == NOW + WORKLOAD_SECONDS


@pytest.mark.parametrize("why", list(SurgeOutcome))
def test_a_move_that_somebody_else_overtook_is_no_failure(why: SurgeOutcome) -> None:
    assert passes(why) == (why in {SurgeOutcome.OVERTAKEN, SurgeOutcome.WITHDRAWN})


def test_a_reason_that_passes_is_no_failure() -> None:
    assert {why for why in Left if passes(why)} == {Left.SETTLING, Left.ROLLOUT, Left.NOT_READY}


def test_a_move_that_was_overtaken_is_tried_again_soon_and_three_in_a_row_are_a_failure() -> None:
    bounds, now, rests = MoveBounds(), NOW, []
    for _ in range(5):
        bounds.overtaken(WEB, SurgeOutcome.OVERTAKEN, now, settle=60.0)
        rests.append(bounds.resting[WEB] - now)
        refused = bounds.refused(now)
        now = bounds.resting[WEB]
        bounds.allowed(5, now)
    assert rests == [60.0, 120.0, 240.0, WORKLOAD_SECONDS, 60.0]
    assert refused == {}
    assert list(bounds.failing) == [WEB], "the next real failure is the second one"
    bounds.overtaken(WEB, SurgeOutcome.OVERTAKEN, now, settle=7200.0)
    assert bounds.resting[WEB] == now + WORKLOAD_SECONDS


def test_the_fourth_overtaken_move_in_a_row_shows_its_reason() -> None:
    bounds = MoveBounds()
    for _ in range(4):
        bounds.overtaken(WEB, SurgeOutcome.OVERTAKEN, NOW, settle=60.0)
    assert bounds.refused(NOW) == {WEB: SurgeOutcome.OVERTAKEN}


@pytest.mark.parametrize(("how", "seconds"), [("a move succeeds", 0.0), ("time passes", LONGEST_REST_SECONDS)], ids=str)
def test_overtaken_moves_in_a_row_end(how: str, seconds: float) -> None:
    bounds, now = MoveBounds(), NOW
    for _ in range(3):
        bounds.overtaken(WEB, Left.ROLLOUT, now, settle=60.0)
    if how == "a move succeeds":
        bounds.succeeded(WEB, now)
    now = bounds.resting[WEB] + seconds
    bounds.allowed(5, now)
    bounds.overtaken(WEB, Left.ROLLOUT, now, settle=60.0)
    assert bounds.resting[WEB] == now + 60.0
    assert bounds.refused(now) == {}


def test_a_client_that_lets_its_workload_settle_in_between_does_not_end_the_row() -> None:
    bounds, now, rests = MoveBounds(), NOW, []
    for _ in range(12):
        bounds.overtaken(WEB, SurgeOutcome.OVERTAKEN, now, settle=60.0)
        rests.append(bounds.resting[WEB] - now)
        now = bounds.resting[WEB] + 2 * WORKLOAD_SECONDS
        bounds.allowed(5, now)
    assert rests[3::4] == [WORKLOAD_SECONDS, 2 * WORKLOAD_SECONDS, 4 * WORKLOAD_SECONDS]


def test_a_workload_of_which_one_move_in_four_succeeds_never_rests_for_long() -> None:
    bounds, now = MoveBounds(), NOW
    for _ in range(40):
        for _ in range(3):
            bounds.overtaken(WEB, SurgeOutcome.OVERTAKEN, now, settle=60.0)
            assert bounds.resting[WEB] - now <= 240.0
            now = bounds.resting[WEB] + 120.0
            bounds.allowed(5, now)
        bounds.succeeded(WEB, now, seconds=0.0)
    assert bounds.refused(now) == {}


def test_what_is_over_is_forgotten() -> None:
    bounds = MoveBounds()
    bounds.rest(WEB, NOW)
    bounds.allowed(1, NOW + WORKLOAD_SECONDS)
    assert not bounds.resting


def test_failures_of_long_ago_are_forgotten_and_those_that_still_count_are_not() -> None:
    bounds = MoveBounds()
    for _ in range(2):
        bounds.given_back(WEB, Left.AT_QUOTA, NOW)
    over = NOW + 2 * WORKLOAD_SECONDS
    bounds.allowed(1, over + LONGEST_REST_SECONDS - 1)
    assert list(bounds.failing) == [WEB]
    bounds.given_back(WEB, Left.AT_QUOTA, over)
    assert bounds.resting[WEB] == over + 4 * WORKLOAD_SECONDS, "the third in a row"
    later = over + 4 * WORKLOAD_SECONDS + LONGEST_REST_SECONDS
    bounds.allowed(1, later)
    assert bounds == MoveBounds()


def test_the_moves_of_the_last_day_are_counted() -> None:
    bounds, day = MoveBounds(), 24 * 3600.0
    for at in (NOW, NOW + 60, NOW + 120):
        bounds.succeeded(WEB, at)
    bounds.given_back(WEB, Left.PAUSED, NOW + 130)
    assert [bounds.last_day(NOW + later) for later in (120, day - 1, day, day + 60, day + 120)] == [3, 3, 2, 1, 0]
    assert bounds.done == 3


def test_a_clock_that_is_set_back_lengthens_no_bound() -> None:
    bounds, hour = MoveBounds(), 3600.0
    bounds.allowed(5, NOW)
    for _ in range(5):
        bounds.began(NOW)
    bounds.rest(WEB, NOW)
    bounds.overtaken("api", Left.ROLLOUT, NOW, settle=60.0)
    assert [bounds.allowed(5, NOW - hour + later) for later in (0, 59, 60)] == [0, 0, 5]
    assert bounds.resting == {WEB: NOW - hour + WORKLOAD_SECONDS}
    assert bounds.refused(NOW - hour) == {}
    bounds.allowed(5, NOW - hour + WORKLOAD_SECONDS)
    assert not bounds.resting


def test_a_move_that_began_in_the_future_counts_for_a_minute() -> None:
    bounds = MoveBounds.resumed([NOW + 3600.0])
    assert [bounds.allowed(5, NOW + later) for later in (0, 59, 60)] == [4, 4, 5]
