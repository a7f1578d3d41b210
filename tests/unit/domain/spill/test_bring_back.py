"""When a surge that brings a replica back begins, and whose turn it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.model.names import OwnerUid
from spillway.domain.spill.bring_back import (
    LONGEST_BACKOFF_SECONDS,
    BringBackMemory,
    DueSurge,
    ReplicaSplit,
    in_turn,
)
from spillway.domain.surge.steps import SurgeOutcome

HOLD = 600.0


@pytest.mark.parametrize(
    ("replicas", "threshold", "physical", "virtual", "missing"),
    [
        pytest.param(10, None, 6, 4, 4, id="no threshold: all are physical"),
        pytest.param(10, 8, 6, 4, 2, id="up to the threshold"),
        pytest.param(10, 6, 6, 4, 0, id="at the threshold"),
        pytest.param(10, 4, 6, 4, 0, id="above it"),
        pytest.param(5, 8, 5, 4, 0, id="a scale-down is taking the virtual ones"),
        pytest.param(10, None, 10, 0, 0, id="none is virtual"),
        pytest.param(10, None, 0, 3, 3, id="never more than there are"),
    ],
)
def test_how_many_belong_elsewhere(
    replicas: int, threshold: int | None, physical: int, virtual: int, missing: int
) -> None:
    assert ReplicaSplit(replicas, threshold, physical, virtual).missing == missing


def standing(replicas: int = 10, virtual: int = 4, threshold: int | None = None) -> ReplicaSplit:
    return ReplicaSplit(replicas, threshold, physical=replicas - virtual, virtual=virtual)


def test_a_surge_waits_until_the_workload_has_stood_still() -> None:
    memory = BringBackMemory().observed(standing(), room=True, now=0.0)
    assert not memory.due(HOLD - 1, HOLD)
    assert memory.observed(standing(), room=True, now=HOLD).due(HOLD, HOLD)


@pytest.mark.parametrize(
    ("between", "room"),
    [
        pytest.param(standing(), False, id="the room went"),
        pytest.param(standing(virtual=0), True, id="nothing to bring back"),
        pytest.param(standing(replicas=11), True, id="demand rose"),
    ],
)
def test_what_begins_the_wait_again(between: ReplicaSplit, *, room: bool) -> None:
    memory = BringBackMemory().observed(standing(), room=True, now=0.0).observed(between, room=room, now=300.0)
    later = memory.observed(standing(between.replicas), room=True, now=HOLD)
    assert not later.due(HOLD, HOLD)
    assert later.observed(standing(between.replicas), room=True, now=3 * HOLD).due(3 * HOLD, HOLD)


def test_a_fall_of_demand_does_not() -> None:
    memory = BringBackMemory().observed(standing(12), room=True, now=0.0).observed(standing(10), room=True, now=300.0)
    assert memory.due(HOLD, HOLD)


def test_success_goes_on_at_once_and_failure_waits_longer_each_time() -> None:
    ready = BringBackMemory(replicas=10, since=0.0)
    assert ready.ended(SurgeOutcome.SUCCEEDED, HOLD, HOLD).due(HOLD, HOLD)
    pauses = []
    memory = ready
    for _ in range(12):
        memory = memory.ended(SurgeOutcome.NO_ROOM, 0.0, HOLD)
        pauses.append(memory.not_before)
    assert pauses[:3] == [HOLD, 2 * HOLD, 4 * HOLD]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_BACKOFF_SECONDS
    assert not memory.observed(standing(), room=True, now=1.0).due(LONGEST_BACKOFF_SECONDS - 1, HOLD)


looks = st.lists(
    st.tuples(st.integers(1, 300), st.booleans(), st.integers(5, 12), st.sampled_from(list(SurgeOutcome))), max_size=80
)


@given(looks)
def test_no_flapping(story: list[tuple[int, bool, int, SurgeOutcome]]) -> None:
    """A surge begins only after a whole hold without a rise and with room at every look; failures grow apart."""
    now, memory = 0.0, BringBackMemory()
    quiet_since: float | None = None
    last_failure: float | None = None
    failures, before = 0, 0
    for seconds, room, replicas, outcome in story:
        now += seconds
        if not room or replicas > before:
            quiet_since = None
        if room and quiet_since is None:
            quiet_since = now
        before = replicas
        memory = memory.observed(standing(replicas, virtual=2), room=room, now=now)
        if memory.due(now, HOLD):
            assert quiet_since is not None
            assert now - quiet_since >= HOLD
            if last_failure is not None:
                assert now - last_failure >= min(LONGEST_BACKOFF_SECONDS, HOLD * 2 ** (failures - 1))
            memory = memory.ended(outcome, now, HOLD)
            if outcome is SurgeOutcome.SUCCEEDED:
                failures, last_failure = 0, None
            else:
                failures, last_failure = failures + 1, now


# The order of turns


@given(
    st.lists(st.booleans(), min_size=1, max_size=40),
    st.integers(1, 5),
    st.integers(0, 60),
)
def test_no_workload_keeps_another_from_its_turn(stuck: list[bool], at_once: int, late: int) -> None:
    """Whoever is due has its turn before another has a second one, and at the latest when all others had theirs."""
    now, turns = 0.0, dict[OwnerUid, int]()
    memories = {
        OwnerUid(f"w{n}"): BringBackMemory(replicas=2, since=0.0 if is_stuck else float(late))
        for n, is_stuck in enumerate(stuck)
    }
    waiting_since: dict[OwnerUid, dict[OwnerUid, int]] = {}
    for _ in range(200):
        now += 5.0
        due_from = {uid: at for uid, one in memories.items() if (at := one.due_from(HOLD)) is not None}
        for uid, at in due_from.items():
            if at <= now:
                waiting_since.setdefault(uid, dict(turns))
        chosen = in_turn([DueSurge(uid, "shop", at) for uid, at in due_from.items()], now, at_once)
        assert len(chosen) == min(at_once, sum(at <= now for at in due_from.values()))
        for uid in chosen:
            before = waiting_since.pop(uid)
            assert all(turns.get(other, 0) - before.get(other, 0) <= 1 for other in memories), "someone had two turns"
            turns[uid] = turns.get(uid, 0) + 1
            if stuck[int(uid[1:])]:
                memories[uid] = memories[uid].hindered(now, HOLD)
            else:
                # No surge ends in the moment in which it began.
                memories[uid] = memories[uid].ended(SurgeOutcome.SUCCEEDED, now + 1.0, HOLD)
    rounds = -(-len(stuck) // at_once)
    if HOLD + late + 5.0 * (rounds + 1) < 200 * 5.0:
        assert turns.keys() == memories.keys()


@pytest.mark.parametrize(
    ("running", "free", "chosen"),
    [
        pytest.param((), 2, ["a0", "b0"], id="namespaces take turns"),
        pytest.param((), 5, ["a0", "b0", "a1", "a2", "a3"], id="alone, one may use all"),
        pytest.param(("a", "a"), 1, ["b0"], id="where fewer run first, though it is due later"),
        pytest.param((), 0, [], id="none is free"),
    ],
)
def test_no_namespace_uses_all_surges_while_others_wait(running: tuple[str, ...], free: int, chosen: list[str]) -> None:
    due = [DueSurge(OwnerUid(f"a{n}"), "a", float(n)) for n in range(4)]
    due += [DueSurge(OwnerUid("b0"), "b", 50.0), DueSurge(OwnerUid("b1"), "b", 101.0)]

    assert in_turn(due, 100.0, free, running=running) == chosen


def test_hindrances_wait_longer_each_time_and_a_surge_forgets_them() -> None:
    memory, waits = BringBackMemory(replicas=2, since=0.0), []
    for _ in range(8):
        memory = memory.hindered(1000.0, HOLD)
        waits.append(memory.not_before - 1000.0)
    assert waits[:4] == [30.0, 60.0, 120.0, 240.0]
    assert max(waits) <= HOLD
    assert memory.since == 0.0, "there is still room"
    assert memory.ended(SurgeOutcome.NOT_READY, 1000.0, HOLD).hindrances == 0
