"""Conditions: a transition time tells when the status last changed, and nothing else moves it."""

from datetime import UTC, datetime, timedelta

import pytest

from spillway.api.common import CONDITIONS_MAX
from spillway.api.condition_reasons import ALL, CONDITIONS
from spillway.api.conditions import Condition, ConditionStatus, find, merge, without

NOW = datetime(2026, 11, 11, 18, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)


def condition(
    kind: str = "Ready", *, holds: bool | None = True, reason: str = "AsWanted", now: datetime = NOW
) -> Condition:
    return Condition.make(kind, holds=holds, reason=reason, message="All is well.", now=now)


def test_a_new_condition_turns_now() -> None:
    (ready,) = merge([], [condition()], generation=3)
    assert (ready.status, ready.last_transition_time, ready.observed_generation) == ("True", NOW, 3)


def test_the_same_status_keeps_its_time_even_if_the_reason_changes() -> None:
    before = merge([], [condition()], generation=3)
    (ready,) = merge(before, [condition(reason="StillAsWanted", now=LATER)], generation=4)
    assert (ready.reason, ready.last_transition_time, ready.observed_generation) == ("StillAsWanted", NOW, 4)


def test_a_changed_status_turns_now() -> None:
    before = merge([], [condition()], generation=3)
    (ready,) = merge(before, [condition(holds=None, now=LATER)], generation=3)
    assert (ready.status, ready.last_transition_time) == (ConditionStatus.UNKNOWN, LATER)


def test_finding_the_same_again_changes_nothing() -> None:
    found = [condition("Degraded", holds=False), condition()]
    before = merge([], found, generation=1)
    later = [condition("Degraded", holds=False, now=LATER), condition(now=LATER)]
    assert merge(before, later, generation=1) == before


def test_ready_comes_first_and_others_stay() -> None:
    before = merge([], [condition("ForeignWriter")], generation=1)
    merged = merge(before, [condition("Degraded", holds=False), condition()], generation=1)
    assert [one.type for one in merged] == ["Ready", "Degraded", "ForeignWriter"]
    assert [one.type for one in without(merged, "ForeignWriter")] == ["Ready", "Degraded"]
    assert find(merged, "Degraded") == merged[1]
    assert find(merged, "Unheard") is None


def test_on_the_wire_it_is_a_metav1_condition() -> None:
    (ready,) = merge([], [condition()], generation=3)
    assert ready.wire() == {
        "type": "Ready",
        "status": "True",
        "observedGeneration": 3,
        "lastTransitionTime": "2026-11-11T18:00:00Z",
        "reason": "AsWanted",
        "message": "All is well.",
    }
    assert Condition.model_validate(ready.wire()) == ready


def test_an_endless_message_is_cut_to_what_kubernetes_takes() -> None:
    assert len(Condition.make("Ready", holds=False, reason="Long", message="x" * 40_000, now=NOW).message) == 32_768


@pytest.mark.parametrize("kind", ["ElasticPolicy", "VirtualNodeBudget", "ZonalBalance"])
def test_a_status_has_room_for_every_condition_of_its_kind(kind: str) -> None:
    assert sum(kind in one.kind or one.kind == ALL for one in CONDITIONS) <= CONDITIONS_MAX
