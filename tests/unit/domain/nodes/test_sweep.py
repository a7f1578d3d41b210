"""Which marks are orphans and how they come off, as tables."""

from typing import Any

import pytest

from spillway.domain.model.names import (
    CORDONED_BY,
    COST_WRITTEN,
    ELASTIC_TAINT,
    EMPTYING_TAINT,
    HOT_TAINT,
    PLACEMENT,
    POD_DELETION_COST,
    POLICY,
    POOL,
    POOLS,
    RESERVATION,
    TIER,
)
from spillway.domain.model.records import Taint
from spillway.domain.nodes.sweep import restore_node, unmark, unmark_annotations
from tests.builders import make_node, make_pod

STAMPED: dict[str, Any] = {
    "policy": "online",
    "tier": "virtual",
    "pool": "eci-a",
    "deletion_cost": -7,
    "cost_written": -7,
}
DECIDED = (POLICY, PLACEMENT, POOLS, RESERVATION)
THEIRS = Taint("dedicated", "NoSchedule")
OURS = Taint(ELASTIC_TAINT, "PreferNoSchedule", "online")


@pytest.mark.parametrize(
    ("marks", "removed"),
    [
        pytest.param({}, set(), id="nothing of ours"),
        pytest.param({"deletion_cost": 5}, set(), id="a cost that we never wrote"),
        pytest.param(STAMPED, {*DECIDED, TIER, POOL, COST_WRITTEN, POD_DELETION_COST}, id="all of ours"),
        pytest.param(
            {**STAMPED, "deletion_cost": 9}, {*DECIDED, TIER, POOL, COST_WRITTEN}, id="a foreign writer's cost stays"
        ),
        pytest.param(
            {**STAMPED, "deletion_cost": None}, {*DECIDED, TIER, POOL, COST_WRITTEN}, id="cost already taken off"
        ),
        pytest.param({"policy": "online", "tier": "fixed"}, {*DECIDED, TIER}, id="stamped without a cost"),
    ],
)
def test_unmark(marks: dict[str, Any], removed: set[str]) -> None:
    assert set(unmark(make_pod(**marks))) == removed


@pytest.mark.parametrize(
    ("annotations", "removed"),
    [
        pytest.param({COST_WRITTEN: "3", POD_DELETION_COST: "3"}, {COST_WRITTEN, POD_DELETION_COST}, id="our cost"),
        pytest.param({COST_WRITTEN: "3", POD_DELETION_COST: "4"}, {COST_WRITTEN}, id="foreign cost"),
        pytest.param({POD_DELETION_COST: "4"}, set(), id="never ours"),
        pytest.param(
            {"spillway.dev/from-a-later-version": "x"}, {"spillway.dev/from-a-later-version"}, id="our prefix"
        ),
        pytest.param({"spillway.dev/class": "batch", "spillway.dev/threshold": "3"}, set(), id="the user's own words"),
        pytest.param({"example.com/note": "x"}, set(), id="others' keys"),
    ],
)
def test_unmark_annotations(annotations: dict[str, str], removed: set[str]) -> None:
    assert set(unmark_annotations(annotations)) == removed


def test_restore_node_opens_only_what_we_closed() -> None:
    ours = restore_node(make_node(unschedulable=True, cordoned_by="eci-a", taints=(OURS, THEIRS)), [CORDONED_BY])
    assert ours is not None
    assert (ours.uncordon, ours.taints, dict(ours.annotations)) == (True, (THEIRS,), {CORDONED_BY: None})
    tainted = restore_node(make_node(unschedulable=True, taints=(OURS,)))
    assert tainted is not None
    assert (tainted.uncordon, tainted.taints) == (False, ())
    assert restore_node(make_node(unschedulable=True, taints=(THEIRS,)), ["example.com/x"]) is None


@pytest.mark.parametrize("key", [ELASTIC_TAINT, EMPTYING_TAINT, HOT_TAINT])
def test_restore_node_removes_every_taint_of_ours(key: str) -> None:
    found = restore_node(make_node(taints=(THEIRS, Taint(key, "PreferNoSchedule", "x"))))
    assert found is not None
    assert found.taints == (THEIRS,)
