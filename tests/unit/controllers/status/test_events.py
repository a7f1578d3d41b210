"""Which changes of conditions cause an Event."""

from datetime import UTC, datetime

import pytest

from spillway.api.condition_reasons import CONDITIONS
from spillway.api.conditions import ACCEPTING, Condition
from spillway.controllers.status.events import _HAS_ITS_OWN, _WANTED, condition_events

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def conditions(kind: str, holds: bool | None) -> list[Condition]:  # noqa: FBT001
    if holds is None:
        return []
    return [Condition.make(kind, holds=holds, reason="Why", message="", now=NOW)]


@pytest.mark.parametrize(
    ("kind", "before", "after", "event"),
    [
        pytest.param("Accepting", True, False, "Warning", id="a pool that lost its nodes"),
        pytest.param("Stalled", False, True, None, id="repeats Ready"),
        pytest.param("Reconciling", False, True, None, id="repeats Ready, too"),
        pytest.param("Ready", None, True, None, id="ready from the start"),
        pytest.param("Ready", None, False, "Warning", id="not ready from the start"),
        pytest.param("Ready", True, False, "Warning", id="not ready any more"),
        pytest.param("Ready", False, True, "Normal", id="ready again"),
        pytest.param("AtLimit", None, True, "Warning", id="a limit is reached"),
        pytest.param("AtLimit", True, False, "Normal", id="a limit has room again"),
        pytest.param("AtLimit", True, True, None, id="still at the limit"),
        pytest.param("InStock", True, False, "Warning", id="out of stock"),
    ],
)
def test_a_condition_that_turns_causes_an_event(
    kind: str, *, before: bool | None, after: bool, event: str | None
) -> None:
    found = [one.type for one in condition_events(conditions(kind, before), conditions(kind, after))]
    assert found == ([] if event is None else [event])


def test_a_condition_that_is_announced_causes_one_although_it_did_not_turn() -> None:
    still = conditions("AtLimit", holds=True)
    assert [one.type for one in condition_events(still, still, {"AtLimit"})] == ["Warning"]


@pytest.mark.parametrize(("reason", "event"), [("WaitingForNodes", "Normal"), ("UnitUnknown", "Warning")])
def test_headroom_that_waits_for_nodes_is_no_problem_and_one_without_a_unit_is(reason: str, event: str) -> None:
    before = conditions("HeadroomReady", holds=True)
    after = [Condition.make("HeadroomReady", holds=False, reason=reason, message="", now=NOW)]
    assert [one.type for one in condition_events(before, after)] == [event]


def test_the_reasons_that_are_told_otherwise_are_reasons_of_their_condition() -> None:
    reasons = {one.type: {reason.reason for reason in one.reasons} for one in CONDITIONS}
    assert reasons[ACCEPTING] >= _HAS_ITS_OWN
    for condition, wanted in _WANTED.items():
        assert reasons[condition] >= wanted
