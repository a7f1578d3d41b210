"""One pool, unhealthy after 60 s and tried again after 300 s, whose pods have 120 s to start; times in seconds."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.model.names import NodeName
from spillway.domain.pools.health import FailoverTimes, Health, HealthReason, State, judge, next_look
from spillway.domain.pools.health import PoolObservation as Seen
from spillway.domain.pools.start_failures import FOR_NAMESPACE, StartFailure

TIMES = FailoverTimes(unhealthy_after=60.0, retry_after=300.0, start_after=120.0)
FINE = Seen()
FAILED = Health(State.FAILED, 1, 1000.0, 1300.0, HealthReason.NODES_NOT_READY)
RETRYING = Health(State.RETRYING, 1, 1300.0, 1300.0, HealthReason.NODES_NOT_READY)


def failing(*dues: float, namespaces: int = 9, workloads: int = 9) -> tuple[StartFailure, ...]:
    """Pods that count as failed from these times on, one after the other of so many namespaces and workloads."""
    return tuple(
        StartFailure(due, f"team-{number % namespaces}", f"Deployment/web-{number % workloads}", NodeName("v1"))
        for number, due in enumerate(dues)
    )


@pytest.mark.parametrize(
    ("health", "seen", "now", "state", "failures"),
    [
        pytest.param(Health(), FINE, 1000.0, State.HEALTHY, 0, id="nothing is wrong"),
        pytest.param(Health(), Seen(down_since=941.0), 1000.0, State.HEALTHY, 0, id="down for a short time"),
        pytest.param(Health(), Seen(down_since=940.0), 1000.0, State.FAILED, 1, id="down for long"),
        pytest.param(Health(), Seen(failures=failing(900.0, 900.0)), 1000.0, State.HEALTHY, 0, id="too few"),
        pytest.param(
            Health(), Seen(failures=failing(900.0, 900.0, 1000.0)), 1000.0, State.FAILED, 1, id="pods do not start"
        ),
        pytest.param(
            Health(), Seen(failures=failing(900.0, 900.0, 1001.0)), 1000.0, State.HEALTHY, 0, id="it may yet start"
        ),
        pytest.param(
            Health(),
            Seen(failures=failing(*[900.0] * 9, workloads=1, namespaces=1)),
            1000.0,
            State.HEALTHY,
            0,
            id="one workload",
        ),
        pytest.param(
            Health(), Seen(failures=failing(*[900.0] * 9, namespaces=1)), 1000.0, State.HEALTHY, 0, id="one namespace"
        ),
        pytest.param(FAILED, FINE, 1299.0, State.FAILED, 1, id="held although its nodes are back"),
        pytest.param(FAILED, FINE, 1300.0, State.RETRYING, 1, id="tried again"),
        pytest.param(FAILED, Seen(down_since=900.0), 9999.0, State.FAILED, 1, id="not tried while it is down"),
        pytest.param(RETRYING, FINE, 5000.0, State.RETRYING, 1, id="no one came yet"),
        pytest.param(RETRYING, Seen(last_start=1310.0), 1311.0, State.HEALTHY, 1, id="a pod has started"),
        pytest.param(RETRYING, Seen(last_start=1299.0), 1311.0, State.RETRYING, 1, id="it had started before"),
        pytest.param(RETRYING, Seen(failures=failing(1430.0, 1430.0)), 1430.0, State.FAILED, 2, id="two do not start"),
        pytest.param(RETRYING, Seen(failures=failing(1430.0)), 1430.0, State.RETRYING, 1, id="one may be at fault"),
        pytest.param(
            RETRYING, Seen(failures=failing(*[1020.0] * 9)), 1419.0, State.RETRYING, 1, id="stuck from before"
        ),
        pytest.param(
            RETRYING, Seen(failures=failing(*[1020.0] * 9)), 1420.0, State.FAILED, 2, id="still stuck in the try"
        ),
        pytest.param(RETRYING, Seen(down_since=1301.0), 1361.0, State.FAILED, 2, id="down again"),
        pytest.param(Health(failures=2, since=1000.0), FINE, 1599.0, State.HEALTHY, 2, id="not yet forgotten"),
        pytest.param(Health(failures=2, since=1000.0), FINE, 1600.0, State.HEALTHY, 0, id="healthy as long as held"),
        pytest.param(Health(failures=2, since=900.0), Seen(down_since=940.0), 1000.0, State.FAILED, 3, id="flapping"),
    ],
)
def test_judged_by_what_is_seen_and_remembered(
    health: Health, seen: Seen, now: float, state: State, failures: int
) -> None:
    after = judge(health, seen, TIMES, now)
    assert (after.state, after.failures) == (state, failures)
    assert judge(after, seen, TIMES, now) == after


@pytest.mark.parametrize(("failures", "held"), [(1, 300), (2, 600), (3, 1200), (7, 19_200), (50, 19_200)])
def test_the_back_off_doubles_and_has_an_end(failures: int, held: float) -> None:
    before = Health(State.RETRYING, failures - 1, 900.0)
    after = judge(before, Seen(down_since=940.0), TIMES, 1000.0)
    assert (after.failures, after.retry_at) == (failures, 1000.0 + held)


@pytest.mark.parametrize(
    ("health", "seen", "expected"),
    [
        (Health(), FINE, None),
        (Health(), Seen(down_since=990.0), 50.0),
        (Health(), Seen(failures=failing(1010.0, 1030.0, 1020.0)), 30.0),
        (Health(), Seen(failures=failing(1010.0)), None),
        (RETRYING, Seen(failures=failing(1010.0, 1020.0)), 420.0),
        (FAILED, FINE, 300.0),
        (FAILED, Seen(down_since=990.0), None),
        (Health(failures=1, since=900.0), FINE, 200.0),
    ],
)
def test_it_is_known_when_time_alone_changes_the_answer(health: Health, seen: Seen, expected: float | None) -> None:
    assert next_look(health, seen, TIMES, 1000.0) == expected


days = st.lists(
    st.tuples(
        st.floats(0.5, 900.0),
        st.booleans(),
        st.integers(0, 5),
        st.booleans(),
    ),
    min_size=1,
    max_size=80,
)


@given(days)
def test_flapping_is_bounded_and_nothing_is_held_for_ever(
    steps: list[tuple[float, bool, int, bool]],
) -> None:
    now, health = 10_000.0, Health()
    down_since: float | None = None
    falls: list[float] = []
    last_start = 0.0
    for pause, down, stuck, starts in steps:
        now += pause
        down_since = (down_since or now) if down else None
        last_start = now if starts and not down else last_start
        due = max(last_start, now - 200.0) + TIMES.start_after
        seen = Seen(down_since, failing(*[due] * stuck), last_start)
        after = judge(health, seen, TIMES, now)
        assert judge(after, seen, TIMES, now) == after
        if after.state is State.FAILED and health.state is not State.FAILED:
            falls.append(now)
            assert after.retry_at >= now + TIMES.retry_after
        if health.state is State.FAILED and after.state is not State.FAILED:
            assert after.state is State.RETRYING
            assert now >= health.retry_at
            assert not down
        health = after
    gaps = [later - earlier for earlier, later in pairwise(falls)]
    assert all(gap >= TIMES.retry_after for gap in gaps)
    # With its nodes ready it comes to a try by itself.
    wait = next_look(health, FINE, TIMES, now) or 0.0
    assert judge(health, FINE, TIMES, now + wait + 1e-6).state is not State.FAILED


@given(st.integers(1, 40))
def test_a_pool_that_never_recovers_is_tried_less_and_less(tries: int) -> None:
    now, health, held = 1000.0, Health(), []
    for _ in range(tries):
        health = judge(health, Seen(failures=failing(*[now - 100.0] * 5)), TIMES, now)
        assert health.state is State.FAILED
        held.append(health.retry_at - now)
        now = health.retry_at
        health = judge(health, FINE, TIMES, now)
        now += 120.0
    assert held == sorted(held)
    assert max(held) <= 64 * TIMES.retry_after


def test_one_namespace_is_judged_by_its_own_pods() -> None:
    seen = Seen(failures=failing(900.0, 900.0, 990.0, namespaces=1))
    assert next_look(Health(), seen, TIMES, 980.0, namespaces=FOR_NAMESPACE) == 10.0
    after = judge(Health(), seen, TIMES, 1000.0, namespaces=FOR_NAMESPACE)
    assert (after.state, after.reason, after.retry_at) == (State.FAILED, HealthReason.PODS_NOT_STARTING, 1300.0)
