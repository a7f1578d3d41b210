"""The verdict on a pool: which reason comes first, and how many pods a pool gets that is being tried again."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.api.condition_reasons import CONDITIONS
from spillway.api.conditions import ACCEPTING
from spillway.domain.model.records import NodeRecord
from spillway.domain.pools.health import PROBE_PODS, Health, State
from spillway.domain.pools.verdict import CLAUSES, PoolVerdict, pool_verdict, takes_probe
from tests.builders import make_node

UP, DOWN = make_node("up"), make_node("down", ready=False)
CLOSED = make_node("closed", unschedulable=True)
FAILED, RETRYING = Health(State.FAILED, 1), Health(State.RETRYING, 1)


def verdict(*nodes: NodeRecord, health: Health, **facts: Any) -> PoolVerdict:
    given: dict[str, Any] = {"held": False, "step": 0, "out_of_stock": False, "coming": 0}
    return pool_verdict(nodes, health, **given | facts)


@pytest.mark.parametrize(
    ("nodes", "health", "changes", "expected"),
    [
        ([UP], Health(), {}, PoolVerdict(takes=True, reason="Open", step=0)),
        ([DOWN], Health(), {}, PoolVerdict(takes=True, reason="Open", step=0)),
        ([], Health(), {}, PoolVerdict(takes=False, reason="NoNodes", step=0)),
        ([CLOSED], Health(), {}, PoolVerdict(takes=False, reason="Held", step=0)),
        ([CLOSED, UP], Health(), {"step": 2}, PoolVerdict(takes=True, reason="Open", step=2)),
        ([UP], Health(), {"held": True}, PoolVerdict(takes=False, reason="Held", step=0)),
        ([DOWN], FAILED, {"held": True}, PoolVerdict(takes=False, reason="Held", step=0)),
        ([UP], FAILED, {}, PoolVerdict(takes=False, reason="Unhealthy", step=0)),
        ([UP], Health(), {"out_of_stock": True, "step": 3}, PoolVerdict(takes=False, reason="OutOfStock", step=3)),
        ([UP], RETRYING, {"coming": 4}, PoolVerdict(takes=True, reason="Retrying", step=0)),
        ([UP], FAILED, {"out_of_stock": True}, PoolVerdict(takes=False, reason="Unhealthy", step=0)),
        ([UP], RETRYING, {"out_of_stock": True}, PoolVerdict(takes=False, reason="OutOfStock", step=0)),
        ([], FAILED, {}, PoolVerdict(takes=False, reason="NoNodes", step=0)),
        ([UP], RETRYING, {"coming": 5}, PoolVerdict(takes=False, reason="Retrying", step=0)),
    ],
)
def test_a_pool_takes_pods_when_nothing_speaks_against_it(
    nodes: list[NodeRecord], health: Health, changes: dict[str, Any], expected: PoolVerdict
) -> None:
    assert verdict(*nodes, health=health, **changes) == expected


@pytest.mark.parametrize(
    ("found", "closed"),
    [
        (PoolVerdict(), False),
        (PoolVerdict(takes=False, reason="Retrying"), False),
        (PoolVerdict(takes=False, reason="Unhealthy"), True),
        (PoolVerdict(takes=False, reason="Held"), True),
    ],
)
def test_pods_wait_for_a_pool_that_is_tried_again_and_not_for_a_closed_one(found: PoolVerdict, *, closed: bool) -> None:
    assert found.closed is closed


@given(coming=st.integers(0, 20))
def test_a_pool_that_is_being_tried_again_gets_a_few_pods_and_is_never_closed(coming: int) -> None:
    found = verdict(UP, health=RETRYING, coming=coming)
    assert found.takes == takes_probe(coming) == (coming < PROBE_PODS)
    assert found.retrying
    assert not found.closed


def test_every_reason_is_one_of_the_condition_accepting() -> None:
    accepting = next(one for one in CONDITIONS if one.type == ACCEPTING)
    assert {"Open", *CLAUSES} <= {one.reason for one in accepting.reasons}


@pytest.mark.parametrize("reason", CLAUSES)
def test_a_pool_that_takes_no_pods_says_why(reason: str) -> None:
    assert PoolVerdict(takes=False, reason=reason).clause == CLAUSES[reason]
    assert not PoolVerdict(takes=True, reason=reason).clause


def test_a_pool_is_closed_to_a_namespace_whose_pods_do_not_start_there() -> None:
    found = verdict(UP, health=Health(), kept_out=frozenset({"shop"}))
    assert (found.takes, found.reason) == (True, "Open")
    assert (found.closed_to("shop"), found.closed_to("bank")) == (True, False)
    assert PoolVerdict(takes=False, reason="Unhealthy").closed_to("bank")
