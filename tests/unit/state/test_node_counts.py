"""Pods on each node as of the start of the minute, the same in every replica."""

from spillway.domain.model.names import NodeName
from spillway.domain.model.records import Phase
from spillway.state.node_counts import COUNTS_SECONDS, NodeCounts
from tests.builders import make_pod, make_state
from tests.support.fake_clock import FakeClock

N1 = NodeName("n1")


def test_pods_count_where_they_are_bound_and_active() -> None:
    state, clock = make_state(), FakeClock()
    for pod in (
        make_pod("a"),
        make_pod("b", node=NodeName("n2")),
        make_pod("c", node=NodeName("")),
        make_pod("d", phase=Phase.SUCCEEDED),
        make_pod("e", terminating=True),
    ):
        state.apply(pod)
    assert NodeCounts(state, clock.now).present().pods == {"n1": 1, "n2": 1}


def test_pods_stay_that_no_planned_scale_down_removes_and_that_do_not_end() -> None:
    state, clock = make_state(), FakeClock()
    for pod in (
        make_pod("governed", policy="online"),
        make_pod("free"),
        make_pod("agent", owner_kind="DaemonSet"),
        make_pod("job", owner_kind="Job"),
        make_pod("database", owner_kind="StatefulSet"),
    ):
        state.apply(pod)
    counts = NodeCounts(state, clock.now).present()
    assert (counts.pods[N1], counts.staying[N1]) == (5, 2)


async def test_a_change_counts_from_the_next_minute_on() -> None:
    state, clock = make_state(), FakeClock()
    counts = NodeCounts(state, clock.now)
    first = counts.present()
    state.apply(make_pod("a"))
    assert counts.present() is first
    assert first.pods == {}
    await clock.advance(COUNTS_SECONDS)
    state.apply(make_pod("b"))
    assert counts.present().pods == {"n1": 1}, "what happened in this minute is not in it"
    await clock.advance(COUNTS_SECONDS)
    assert counts.present().pods == {"n1": 2}


async def test_a_replica_that_starts_later_agrees_from_the_next_minute_on() -> None:
    state, clock = make_state(), FakeClock()
    early = NodeCounts(state, clock.now)
    early.present()
    state.apply(make_pod("a"))
    late = NodeCounts(state, clock.now)
    late.present()
    state.remove(make_pod("a"))
    state.apply(make_pod("b", node=NodeName("n2")))
    await clock.advance(COUNTS_SECONDS)
    assert early.present() == late.present()
    assert late.present().pods == {"n2": 1}


def test_nothing_is_followed_after_the_end() -> None:
    state, clock = make_state(), FakeClock()
    counts = NodeCounts(state, clock.now)
    counts.close()
    state.apply(make_pod("a"))
    assert counts.present().pods == {}
