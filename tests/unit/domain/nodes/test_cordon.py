"""Which nodes are closed and opened, and who is asked to leave, as tables."""

from typing import Any

import pytest

from spillway.api.virtualnodebudget import Cordon
from spillway.domain.model.names import OwnerUid
from spillway.domain.model.records import Phase
from spillway.domain.nodes.cordon import BudgetCordon, is_spared, next_opening, plan_cordon, plan_drain
from tests.builders import make_node, make_pod

NOW = 1000.0
HELD = BudgetCordon("eci-a", Cordon.HOLD)
OPEN = BudgetCordon("eci-a", Cordon.NONE)
EXPIRED = BudgetCordon("eci-a", Cordon.HOLD, until=NOW)
LATER = BudgetCordon("eci-a", Cordon.HOLD_AND_DRAIN, until=NOW + 60)


@pytest.mark.parametrize(
    ("unschedulable", "mark", "hold", "change"),
    [
        pytest.param(False, "", HELD, (True, "eci-a"), id="a held pool's node is closed"),
        pytest.param(False, "", LATER, (True, "eci-a"), id="also while it drains"),
        pytest.param(True, "", HELD, None, id="closed by another client: not marked"),
        pytest.param(True, "eci-a", HELD, None, id="already closed by us"),
        pytest.param(False, "eci-a", HELD, (True, "eci-a"), id="opened by hand while held: closed again"),
        pytest.param(True, "other", HELD, (None, "eci-a"), id="moved between held pools: the mark follows"),
        pytest.param(True, "eci-a", OPEN, (False, None), id="hold lifted"),
        pytest.param(True, "eci-a", EXPIRED, (False, None), id="hold ended by itself"),
        pytest.param(True, "eci-a", None, (False, None), id="budget gone, or node left the pool"),
        pytest.param(False, "eci-a", OPEN, (None, None), id="opened by hand: only the mark goes"),
        pytest.param(True, "", OPEN, None, id="closed by another client stays closed"),
        pytest.param(False, "", None, None, id="in no pool"),
    ],
)
def test_one_node(
    *, unschedulable: bool, mark: str, hold: BudgetCordon | None, change: tuple[bool | None, str | None] | None
) -> None:
    holds = {hold.budget: hold} if hold else {}
    plan = plan_cordon(make_node(unschedulable=unschedulable, cordoned_by=mark), "eci-a", holds, NOW)
    assert ((plan.unschedulable, plan.mark) if plan else None) == change


def test_a_node_being_deleted_is_left() -> None:
    assert plan_cordon(make_node(deleting=True), "eci-a", {"eci-a": HELD}, NOW) is None


@pytest.mark.parametrize(
    ("holds", "opening"),
    [
        pytest.param([HELD, OPEN], None, id="no end"),
        pytest.param([LATER, BudgetCordon("b", Cordon.HOLD, NOW + 5)], NOW + 5, id="the first"),
        pytest.param([EXPIRED], None, id="already over"),
        pytest.param([BudgetCordon("b", Cordon.NONE, NOW + 5)], None, id="not held at all"),
    ],
)
def test_next_opening(holds: list[BudgetCordon], opening: float | None) -> None:
    assert next_opening(holds, NOW) == opening


def test_drain_leaves_those_for_whom_leaving_means_nothing() -> None:
    pods = [
        make_pod("old", created=1.0),
        make_pod("new", created=5.0),
        make_pod("daemon", owner_kind="DaemonSet"),
        make_pod("mirror", owner_kind="Node"),
        make_pod("bare", owner_kind="", owner_uid=OwnerUid("")),
        make_pod("done", phase=Phase.SUCCEEDED),
        make_pod("leaving", terminating=True),
    ]
    assert [pod.name for pod in plan_drain(pods)] == ["new", "old"]


@pytest.mark.parametrize(
    ("changes", "spared"),
    [
        pytest.param({}, False, id="replaced by its owner"),
        pytest.param({"owner_kind": "", "owner_uid": OwnerUid("")}, True, id="no owner"),
        pytest.param({"owner_kind": "", "owner_uid": OwnerUid(""), "terminating": True}, False, id="it goes anyway"),
        pytest.param({"owner_kind": "", "owner_uid": OwnerUid(""), "phase": Phase.FAILED}, False, id="finished"),
        pytest.param({"owner_kind": "Job", "owner_uid": OwnerUid("used-up")}, True, id="a Job without retries"),
        pytest.param({"owner_kind": "Job", "owner_uid": OwnerUid("other")}, False, id="a Job with retries"),
        pytest.param({"owner_kind": "DaemonSet"}, False, id="a DaemonSet's is no concern of a drain"),
        pytest.param({"owner_kind": "Node"}, False, id="neither is a mirror pod"),
    ],
)
def test_whom_a_drain_spares(changes: dict[str, Any], *, spared: bool) -> None:
    assert is_spared(make_pod(**changes), {OwnerUid("used-up")}) is spared
