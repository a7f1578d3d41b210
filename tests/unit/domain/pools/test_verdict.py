"""The verdict on a pool: which reason comes first, and how many pods a pool gets that is being tried again."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.pools.health import PROBE_PODS, Health, State
from spillway.domain.pools.verdict import PoolVerdict, pool_verdict, takes_probe
from tests.builders import make_node

NODE = make_node("v-1")
CORDONED = make_node("v-1", unschedulable=True)


def verdict(*nodes: Any, state: State = State.HEALTHY, **facts: Any) -> PoolVerdict:
    given: dict[str, Any] = {"held": False, "step": 0, "out_of_stock": False, "coming": 0}
    return pool_verdict(nodes, Health(state), **given | facts)


@pytest.mark.parametrize(
    ("found", "takes", "reason"),
    [
        (verdict(NODE), True, "Open"),
        (verdict(NODE, held=True, state=State.FAILED), False, "Held"),
        (verdict(CORDONED), False, "Held"),
        (verdict(state=State.FAILED), False, "NoNodes"),
        (verdict(NODE, state=State.FAILED, out_of_stock=True), False, "Unhealthy"),
        (verdict(NODE, state=State.RETRYING, out_of_stock=True), False, "OutOfStock"),
        (verdict(NODE, state=State.RETRYING), True, "Retrying"),
        (verdict(NODE, state=State.RETRYING, coming=PROBE_PODS), False, "Retrying"),
    ],
)
def test_the_first_reason_that_holds_decides(found: PoolVerdict, reason: str, *, takes: bool) -> None:
    assert (found.takes, found.reason) == (takes, reason)


@given(coming=st.integers(0, 20))
def test_a_pool_that_is_being_tried_again_gets_a_few_pods_and_is_never_closed(coming: int) -> None:
    found = verdict(NODE, state=State.RETRYING, coming=coming)
    assert found.takes == takes_probe(coming) == (coming < PROBE_PODS)
    assert found.retrying
    assert not found.closed
