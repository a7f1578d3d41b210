"""A node as plans of moves see it."""

import pytest

from spillway.domain.balance.node import PlannedNode
from spillway.domain.model.names import CANDIDATE_TAINT, HOT_TAINT, ZONE_LABEL, NodeName, Zone
from spillway.domain.model.records import NodeRecord, Taint
from spillway.domain.model.usage import Usage
from tests.builders import make_node

FREE = Usage(5, 100, 100)
GPU = Taint("gpu", "NoSchedule")
SOFT = Taint("gpu", "PreferNoSchedule")


@pytest.mark.parametrize(
    ("record", "accepts"),
    [
        pytest.param(make_node("n1"), True, id="open"),
        pytest.param(make_node("n1", ready=False), False, id="not ready"),
        pytest.param(make_node("n1", unschedulable=True), False, id="cordoned"),
        pytest.param(make_node("n1", taints=(Taint(HOT_TAINT, "PreferNoSchedule", "b"),)), False, id="hot"),
        pytest.param(make_node("n1", taints=(GPU,)), True, id="tainted"),
        pytest.param(make_node("n1", taints=(Taint("karpenter.sh/disrupted", "NoSchedule"),)), False, id="leaves"),
        pytest.param(
            make_node("n1", taints=(Taint(CANDIDATE_TAINT, "PreferNoSchedule", "1"),)), False, id="may be removed"
        ),
    ],
)
def test_new_pods_may_come(record: NodeRecord, *, accepts: bool) -> None:
    assert PlannedNode.of(record, FREE, ZONE_LABEL).accepts is accepts


def test_the_node_of_a_record() -> None:
    record = make_node(
        "n1", labels={ZONE_LABEL: "a"}, cpu_millis=1000, memory_bytes=10, pods_allocatable=7, taints=(GPU, SOFT)
    )
    found = PlannedNode.of(record, FREE, ZONE_LABEL)
    assert found == PlannedNode(NodeName("n1"), Zone("a"), Usage(7, 1000, 10), FREE, frozenset({GPU}))


def test_pods_tolerate_the_hard_taints_of_their_own_node() -> None:
    plain, tainted = make_node("n1"), make_node("n2", taints=(GPU,))
    first, second = (PlannedNode.of(one, FREE, ZONE_LABEL) for one in (plain, tainted))
    assert (first.tolerated_from(second), second.tolerated_from(first)) == (True, False)
