"""The next step of a surge, and that it never costs a workload a replica that it asks for."""

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.model.names import NodeName, PodUid
from spillway.domain.model.proofs import proof_in, with_proof
from spillway.domain.model.records import Pending
from spillway.domain.surge.steps import (
    FORGOTTEN_SECONDS,
    FUTURE_SECONDS,
    STUCK_SECONDS,
    Progress,
    Purpose,
    Step,
    Surge,
    SurgeOutcome,
    newly_marked,
    next_step,
    progress_of,
    replaced_pod,
)
from tests.builders import make_pod, make_replicaset

PATIENCE = 300.0


SURGE = Surge(replicas=10, placed=6, since=1000.0)


def progress(**changes: Any) -> Progress:
    return Progress(**({"asked": 11, "active": 11, "ready": 11, "placed": 7} | changes))


@pytest.mark.parametrize(
    ("now", "found", "wanted"),
    [
        pytest.param(1001, progress(active=10, ready=10, placed=6), (Step.WAIT, None), id="not there yet"),
        pytest.param(1001, progress(ready=10, placed=6), (Step.WAIT, None), id="not ready yet"),
        pytest.param(1001, progress(), (Step.SHRINK, SurgeOutcome.SUCCEEDED), id="ready"),
        pytest.param(1001, progress(placed=6), (Step.SHRINK, SurgeOutcome.NO_GAIN), id="it came up elsewhere"),
        pytest.param(1001, progress(ready=10), (Step.WAIT, None), id="another one is not ready: it would go first"),
        pytest.param(1001, progress(active=12), (Step.WAIT, None), id="one more than asked for"),
        pytest.param(1400, progress(ready=10), (Step.SHRINK, SurgeOutcome.NOT_READY), id="not ready in time"),
        pytest.param(
            1001,
            progress(ready=10, unschedulable_seconds=STUCK_SECONDS),
            (Step.SHRINK, SurgeOutcome.NO_ROOM),
            id="no node has room",
        ),
        pytest.param(
            1001, progress(active=10, ready=10, refused=True), (Step.SHRINK, SurgeOutcome.REFUSED), id="at its quota"
        ),
        pytest.param(1001, progress(refused=True), (Step.SHRINK, SurgeOutcome.SUCCEEDED), id="an old refusal"),
        pytest.param(1001, progress(ready=10, wanted=False), (Step.SHRINK, SurgeOutcome.WITHDRAWN), id="not wanted"),
        pytest.param(
            1001,
            progress(ready=10, wanted=False, settling=True),
            (Step.WAIT, None),
            id="not wanted, and of two ready pods one is not available yet",
        ),
        pytest.param(
            1400,
            progress(ready=10, wanted=False, settling=True),
            (Step.SHRINK, SurgeOutcome.NOT_READY),
            id="not wanted, and not available in time",
        ),
        pytest.param(1001, progress(asked=10), (Step.FORGET, SurgeOutcome.OVERTAKEN), id="scaled down by someone"),
        pytest.param(1001, progress(asked=12), (Step.FORGET, SurgeOutcome.OVERTAKEN), id="scaled up by someone"),
        pytest.param(1001, progress(asked=12, wanted=False), (Step.FORGET, SurgeOutcome.OVERTAKEN), id="nor then"),
        pytest.param(
            1001 + FORGOTTEN_SECONDS, progress(), (Step.FORGET, SurgeOutcome.FORGOTTEN), id="a mark from long ago"
        ),
        pytest.param(999, progress(ready=10), (Step.WAIT, None), id="a clock that is behind"),
        pytest.param(
            999 - FUTURE_SECONDS, progress(ready=10), (Step.FORGET, SurgeOutcome.FORGOTTEN), id="a mark of the future"
        ),
    ],
)
def test_the_next_step(now: float, found: Progress, wanted: tuple[Step, SurgeOutcome | None]) -> None:
    assert next_step(SURGE, found, now, PATIENCE) == wanted


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 4 * 10**9))
def test_a_mark_is_read_as_it_was_written(replicas: int, physical: int, since: int) -> None:
    surge = Surge(replicas, physical, float(since))
    assert Surge.parse(surge.mark) == surge


@pytest.mark.parametrize("pod", [None, PodUid("0f")])
def test_a_mark_is_read_with_its_proof(pod: PodUid | None) -> None:
    surge = Surge(3, 2, 1000.0) if pod is None else Surge(3, 2, 1000.0, pod, Purpose.REBALANCE, "even")
    mark = with_proof(surge.mark, "00ff")
    assert proof_in(mark) == (surge.mark, "00ff")
    assert proof_in(surge.mark) == (surge.mark, "")
    assert Surge.parse(mark) == surge
    assert replaced_pod(mark) == pod


@given(
    st.sampled_from([Purpose.REBALANCE, Purpose.CONSOLIDATE]),
    st.from_regex(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", fullmatch=True),
    st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,30}[a-z0-9])?", fullmatch=True),
)
def test_a_mark_names_the_chosen_pod_and_who_asks(purpose: Purpose, pod: str, asker: str) -> None:
    surge = Surge(3, 2, 1000.0, PodUid(pod), purpose, asker)
    assert Surge.parse(surge.mark) == surge
    assert replaced_pod(surge.mark) == pod


def test_a_mark_without_a_chosen_pod_replaces_none() -> None:
    assert [replaced_pod(mark) for mark in ("", "10", SURGE.mark)] == [None, None, None]


@pytest.mark.parametrize(
    "mark",
    [
        "",
        "10",
        "replicas=1 placed=1 since=then",
        "replicas=1 placed=1 since=",
        f"{SURGE.mark} x",
        f"{SURGE.mark} pod=a",
        f"{SURGE.mark} pod=a for=Fun/online",
    ],
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


@pytest.mark.parametrize(("available", "ready"), [(None, 2), (1, 1), (3, 2)])
def test_progress_follows_from_the_pods(available: int | None, ready: int) -> None:
    waits = Pending(unschedulable_since=90.0)
    pods = [make_pod("a"), make_pod("b"), make_pod("c", node=NodeName(""), ready=False, pending=waits)]
    found = progress_of(make_replicaset(replicas=3), pods, 100.0, asked=3, placed=1, wanted=True, available=available)
    assert found == Progress(asked=3, active=3, ready=ready, placed=1, unschedulable_seconds=10.0, ready_since=100.0)


@pytest.mark.parametrize(
    ("available", "ready", "settling"), [(None, True, False), (1, True, True), (2, True, False), (1, False, False)]
)
def test_all_are_ready_and_one_is_not_available_yet(available: int | None, *, ready: bool, settling: bool) -> None:
    pods = [make_pod("a"), make_pod("b", ready=ready)]
    found = progress_of(make_replicaset(replicas=2), pods, 1.0, asked=2, placed=1, wanted=True, available=available)
    assert found.settling is settling


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [(None, "x", True), ("", "x", True), ("x", "y", True), ("x", "x", False), ("x", "", False), (None, "", False)],
)
def test_a_mark_that_is_new(old: str | None, new: str, *, expected: bool) -> None:
    before = None if old is None else make_replicaset(surge=old)
    assert newly_marked(before, make_replicaset(surge=new)) is expected
