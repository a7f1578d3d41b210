import pytest

from spillway.admission.deadline import Deadline
from spillway.state.cluster import ClusterState
from spillway.webhooks.cache_wait import LONGEST_SECONDS, SECONDS_PER_COST, SHORTEST_SECONDS, CacheWait
from tests.builders import make_pod, make_state
from tests.support.fake_clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(0.0)


def _change(state: ClusterState, count: int) -> None:
    """So many changes of deletion costs, and others that do not count."""
    state.apply(make_pod(deletion_cost=0))
    for number in range(1, count + 1):
        state.apply(make_pod(deletion_cost=number))
        state.apply(make_pod(deletion_cost=number, ready=False))
    state.remove(make_pod())


def test_an_idle_cluster_is_given_the_shortest_wait(clock: FakeClock) -> None:
    assert CacheWait(make_state(), clock).seconds(0.0) == SHORTEST_SECONDS


def test_the_wait_grows_with_recent_changes_and_forgets_old_ones(clock: FakeClock) -> None:
    state = make_state()
    cache_wait = CacheWait(state, clock)
    _change(state, 100)
    assert cache_wait.seconds(0.0) == pytest.approx(SHORTEST_SECONDS + 100 * SECONDS_PER_COST)
    clock.forward(0.9)
    _change(state, 10)
    assert cache_wait.seconds(0.0) == pytest.approx(SHORTEST_SECONDS + 110 * SECONDS_PER_COST)
    clock.forward(0.6)
    assert cache_wait.seconds(0.0) == pytest.approx(SHORTEST_SECONDS + 10 * SECONDS_PER_COST)


def test_the_wait_grows_with_the_lag_of_our_own_watch_and_is_bounded(clock: FakeClock) -> None:
    cache_wait = CacheWait(make_state(), clock)
    assert cache_wait.seconds(0.05) > cache_wait.seconds(0.01)
    assert cache_wait.seconds(60.0) == LONGEST_SECONDS


async def test_waiting_ends_when_it_was_long_enough(clock: FakeClock) -> None:
    cache_wait = CacheWait(make_state(), clock, sleep=clock.skip)
    waited, enough = await cache_wait.wait(0.02, Deadline(clock, 1.0))
    assert enough
    assert waited == pytest.approx(cache_wait.seconds(0.02))


async def test_the_deadline_ends_the_wait_before_it_was_long_enough(clock: FakeClock) -> None:
    cache_wait = CacheWait(make_state(), clock, sleep=clock.skip)
    waited, enough = await cache_wait.wait(10.0, Deadline(clock, 0.1))
    assert not enough
    assert waited == pytest.approx(0.1)


async def test_load_that_comes_while_waiting_makes_it_longer(clock: FakeClock) -> None:
    state = make_state()
    changes = [200]

    async def sleep_amid_changes(seconds: float) -> None:
        _change(state, changes.pop() if changes else 0)
        await clock.skip(seconds)

    cache_wait = CacheWait(state, clock, sleep=sleep_amid_changes)
    waited, enough = await cache_wait.wait(0.0, Deadline(clock, 1.0))
    assert enough
    assert waited >= 200 * SECONDS_PER_COST
