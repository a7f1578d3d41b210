"""How the parts of a status are merged."""

from datetime import UTC, datetime, timedelta

from spillway.api.conditions import find
from spillway.api.virtualnodebudget import VirtualNodeBudgetStatus
from spillway.controllers.status.merge import merged_status
from spillway.controllers.status.part import ObservedCondition, StatusPart

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def observed(kind: str, *, holds: bool, reason: str = "Reason") -> StatusPart:
    return StatusPart(conditions=(ObservedCondition(kind, holds=holds, reason=reason, message=""),))


def merged(*parts: StatusPart, current: VirtualNodeBudgetStatus | None = None) -> VirtualNodeBudgetStatus:
    later = NOW if current is None else NOW + timedelta(hours=1)
    return merged_status(current or VirtualNodeBudgetStatus(), parts, generation=3, now=later)


def test_fields_of_all_parts_are_set_and_the_others_stay() -> None:
    before = VirtualNodeBudgetStatus(nodes=7)
    after = merged(StatusPart({"cordoned": 1}), StatusPart({"nodes_ready": 2}), current=before)
    assert (after.nodes, after.cordoned, after.nodes_ready, after.observed_generation) == (7, 1, 2, 3)


def test_the_first_part_that_observes_ready_decides() -> None:
    status = merged(observed("Ready", holds=False, reason="First"), observed("Ready", holds=True, reason="Second"))
    ready = find(status.conditions, "Ready")
    assert ready is not None
    assert (ready.status, ready.reason) == ("False", "First")


def test_a_condition_that_is_normally_false_appears_once_it_is_true() -> None:
    assert merged(observed("AtLimit", holds=False)).conditions == ()
    first = merged(observed("AtLimit", holds=True))
    assert [one.status for one in first.conditions] == ["True"]
    assert [one.status for one in merged(observed("AtLimit", holds=False), current=first).conditions] == ["False"]


def test_a_condition_that_is_normally_true_is_always_present() -> None:
    assert [one.type for one in merged(observed("Healthy", holds=True)).conditions] == ["Healthy"]


def test_a_condition_that_nobody_observes_any_more_is_resolved() -> None:
    first = merged(observed("TierConflict", holds=True))
    (gone,) = merged(current=first).conditions
    assert (gone.status, gone.reason) == ("False", "Resolved")


def test_a_condition_that_is_normally_true_goes_with_what_it_is_about() -> None:
    first = merged(observed("HeadroomReady", holds=False))
    assert [(one.type, one.status) for one in first.conditions] == [("HeadroomReady", "False")]
    assert merged(current=first).conditions == ()


def test_a_minor_value_is_written_only_with_another_change() -> None:
    present = merged(StatusPart({"nodes": 1, "cordoned": 5}))
    kept = {"cordoned": 5}
    same = merged(StatusPart({"nodes": 1, "cordoned": 6}, if_nothing_else_changed=kept), current=present)
    assert same.wire() == present.wire()
    changed = merged(StatusPart({"nodes": 2, "cordoned": 6}, if_nothing_else_changed=kept), current=present)
    assert (changed.nodes, changed.cordoned) == (2, 6)
