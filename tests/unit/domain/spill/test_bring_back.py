"""When a surge begins, what its next step is, and that it never costs a workload a replica that it asks for."""

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.model.names import OwnerUid
from spillway.domain.spill.bring_back import (
    FORGOTTEN_SECONDS,
    LONGEST_BACKOFF_SECONDS,
    STUCK_SECONDS,
    BringBackMemory,
    Progress,
    ReplicaSplit,
    Step,
    Surge,
    SurgeOutcome,
    in_turn,
    next_step,
)

HOLD = 600.0
PATIENCE = 300.0


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
def test_what_begins_the_wait_anew(between: ReplicaSplit, *, room: bool) -> None:
    memory = BringBackMemory().observed(standing(), room=True, now=0.0).observed(between, room=room, now=300.0)
    later = memory.observed(standing(between.replicas), room=True, now=HOLD)
    assert not later.due(HOLD, HOLD)
    assert later.observed(standing(between.replicas), room=True, now=3 * HOLD).due(3 * HOLD, HOLD)


def test_a_fall_of_demand_does_not() -> None:
    memory = BringBackMemory().observed(standing(12), room=True, now=0.0).observed(standing(10), room=True, now=300.0)
    assert memory.due(HOLD, HOLD)


def test_success_goes_on_at_once_and_failure_waits_longer_each_time() -> None:
    ready = BringBackMemory(replicas=10, since=0.0)
    assert ready.ended(SurgeOutcome.BROUGHT_BACK, HOLD, HOLD).due(HOLD, HOLD)
    pauses = []
    memory = ready
    for _ in range(12):
        memory = memory.ended(SurgeOutcome.NO_ROOM, 0.0, HOLD)
        pauses.append(memory.not_before)
    assert pauses[:3] == [HOLD, 2 * HOLD, 4 * HOLD]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_BACKOFF_SECONDS
    assert not memory.observed(standing(), room=True, now=1.0).due(LONGEST_BACKOFF_SECONDS - 1, HOLD)


SURGE = Surge(replicas=10, physical=6, since=1000.0)


def progress(**changes: Any) -> Progress:
    return Progress(**({"asked": 11, "active": 11, "ready": 11, "physical": 7} | changes))


@pytest.mark.parametrize(
    ("now", "found", "wanted"),
    [
        pytest.param(1001, progress(active=10, ready=10, physical=6), (Step.WAIT, None), id="not there yet"),
        pytest.param(1001, progress(ready=10, physical=6), (Step.WAIT, None), id="not ready yet"),
        pytest.param(1001, progress(), (Step.SHRINK, SurgeOutcome.BROUGHT_BACK), id="ready"),
        pytest.param(1001, progress(physical=6), (Step.SHRINK, SurgeOutcome.NO_GAIN), id="it came up elsewhere"),
        pytest.param(1001, progress(ready=10), (Step.WAIT, None), id="another one is not ready: it would go first"),
        pytest.param(1001, progress(active=12), (Step.WAIT, None), id="one more than asked for"),
        pytest.param(1400, progress(ready=10), (Step.SHRINK, SurgeOutcome.NOT_READY), id="not ready in time"),
        pytest.param(
            1001,
            progress(ready=10, unschedulable_seconds=STUCK_SECONDS),
            (Step.SHRINK, SurgeOutcome.NO_ROOM),
            id="no node has room",
        ),
        pytest.param(1001, progress(ready=10, wanted=False), (Step.SHRINK, SurgeOutcome.WITHDRAWN), id="not wanted"),
        pytest.param(1001, progress(asked=10), (Step.FORGET, SurgeOutcome.OVERTAKEN), id="scaled down by someone"),
        pytest.param(1001, progress(asked=12), (Step.FORGET, SurgeOutcome.OVERTAKEN), id="scaled up by someone"),
        pytest.param(1001, progress(asked=12, wanted=False), (Step.FORGET, SurgeOutcome.OVERTAKEN), id="nor then"),
        pytest.param(
            1001 + FORGOTTEN_SECONDS, progress(), (Step.FORGET, SurgeOutcome.FORGOTTEN), id="a mark from long ago"
        ),
    ],
)
def test_the_next_step(now: float, found: Progress, wanted: tuple[Step, SurgeOutcome | None]) -> None:
    assert next_step(SURGE, found, now, PATIENCE) == wanted


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 4 * 10**9))
def test_a_mark_is_read_as_it_was_written(replicas: int, physical: int, since: int) -> None:
    surge = Surge(replicas, physical, float(since))
    assert Surge.parse(surge.mark) == surge


@pytest.mark.parametrize(
    "mark", ["", "10", "replicas=1 physical=1 since=then", "replicas=1 physical=1 since=", f"{SURGE.mark} x"]
)
def test_a_mark_that_is_none_of_ours(mark: str) -> None:
    assert Surge.parse(mark) is None


@dataclass
class Workload:
    """A ReplicaSet with its controller's order of deletion, someone who scales it, and a policy; time passes."""

    asked: int
    pods: list[tuple[bool, bool]]
    """As (physical, ready)."""
    now: float = 0.0
    wanted: bool = True
    theirs: int | None = None
    """What another client asked for last."""
    lowered: bool = False

    def scale(self, replicas: int) -> None:
        """Not ready before ready, virtual before physical."""
        self.asked = replicas
        while len(self.pods) > replicas:
            self.pods.remove(min(self.pods, key=lambda pod: (pod[1], pod[0])))

    def happens(self, event: str, value: int) -> None:
        match event:
            case "tick":
                self.now += value
            case "grow" if len(self.pods) < self.asked:
                self.pods.append((bool(value % 2), False))
            case "ready":
                self.pods = [(place, ready or index <= value) for index, (place, ready) in enumerate(self.pods)]
            case "scale":
                self.lowered |= value < self.ready
                self.theirs = value
                self.scale(value)
            case "withdraw":
                self.wanted = False

    @property
    def ready(self) -> int:
        return sum(ready for _, ready in self.pods)

    @property
    def progress(self) -> Progress:
        physical = sum(place and ready for place, ready in self.pods)
        return Progress(self.asked, len(self.pods), self.ready, physical, wanted=self.wanted)


stories = st.lists(
    st.tuples(
        st.sampled_from(["tick", "grow", "ready", "scale", "withdraw", "operator away"]), st.integers(1, 400)
    ).map(lambda event: (event[0], event[1] if event[0] == "tick" else event[1] % 16 + 1)),
    max_size=60,
)


@given(st.integers(1, 8), st.integers(1, 8), stories)
def test_whatever_happens_a_surge_takes_back_its_own_replica_and_no_other(
    physical: int, virtual: int, story: list[tuple[str, int]]
) -> None:
    """Also when others scale, pods do not come up, or the operator dies between its writes."""
    replicas = physical + virtual
    load = Workload(replicas + 1, [(True, True)] * physical + [(False, True)] * virtual)
    surge: Surge | None = Surge(replicas, physical, 0.0)
    for event, value in story:
        load.happens(event, value)
        if surge is not None and event != "operator away":
            before = load.ready
            step, _ = next_step(surge, load.progress, load.now, PATIENCE)
            if step is Step.SHRINK:
                load.scale(load.asked - 1)
                assert load.ready >= min(before, replicas), "a ready replica that was asked for has gone"
            surge = None if step is Step.FORGET else surge
        assert load.lowered or load.ready >= replicas, "never fewer ready than before the surge"
    # Someone who asks for exactly what the surge made of it cannot be told from the surge; else their word stands.
    if load.theirs is None:
        assert load.asked in {replicas, replicas + 1}
    elif load.theirs != replicas + 1:
        assert load.asked == load.theirs


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
            if outcome is SurgeOutcome.BROUGHT_BACK:
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
        chosen = in_turn(due_from, now, at_once)
        assert len(chosen) == min(at_once, sum(at <= now for at in due_from.values()))
        for uid in chosen:
            before = waiting_since.pop(uid)
            assert all(turns.get(other, 0) - before.get(other, 0) <= 1 for other in memories), "someone had two turns"
            turns[uid] = turns.get(uid, 0) + 1
            if stuck[int(uid[1:])]:
                memories[uid] = memories[uid].hindered(now, HOLD)
            else:
                # No surge ends in the moment in which it began.
                memories[uid] = memories[uid].ended(SurgeOutcome.BROUGHT_BACK, now + 1.0, HOLD)
    rounds = -(-len(stuck) // at_once)
    if HOLD + late + 5.0 * (rounds + 1) < 200 * 5.0:
        assert turns.keys() == memories.keys()


def test_hindrances_wait_longer_each_time_and_a_surge_forgets_them() -> None:
    memory, waits = BringBackMemory(replicas=2, since=0.0), []
    for _ in range(8):
        memory = memory.hindered(1000.0, HOLD)
        waits.append(memory.not_before - 1000.0)
    assert waits[:4] == [30.0, 60.0, 120.0, 240.0]
    assert max(waits) <= HOLD
    assert memory.since == 0.0, "there is still room"
    assert memory.ended(SurgeOutcome.NOT_READY, 1000.0, HOLD).hindrances == 0
