"""The check of taints."""

import pytest

from spillway.domain.doctor.taints import check_taints
from spillway.domain.model.names import ELASTIC_TAINT
from spillway.domain.model.records import NodeRecord, Taint
from tests.builders import make_node


def pool_of(node: NodeRecord) -> str | None:
    return node.labels.get("pool")


@pytest.mark.parametrize(
    ("node", "severity", "words"),
    [
        pytest.param(make_node(taints=(Taint(ELASTIC_TAINT, "PreferNoSchedule"),)), "", "", id="soft"),
        pytest.param(make_node(taints=(Taint("dedicated", "NoSchedule"),)), "", "", id="of-another-client"),
        pytest.param(make_node(taints=(Taint(ELASTIC_TAINT, "NoSchedule"),)), "error", "keeps pods away", id="hard"),
        pytest.param(
            make_node(labels={"pool": "a"}, taints=(Taint(ELASTIC_TAINT, "PreferNoSchedule"),)),
            "warning",
            "it is virtual",
            id="on-a-virtual-node",
        ),
        pytest.param(make_node(labels={"type": "virtual-kubelet"}), "warning", "in no VirtualNodeBudget", id="stray"),
        pytest.param(
            make_node(taints=(Taint("virtual-kubelet.io/provider", "NoSchedule"),)),
            "warning",
            "treats them as fixed nodes: n1",
            id="stray-by-taint",
        ),
        pytest.param(make_node(labels={"type": "virtual-kubelet", "pool": "a"}), "", "", id="in-a-pool"),
    ],
)
def test_taints(node: NodeRecord, severity: str, words: str) -> None:
    found = list(check_taints([node], pool_of))

    assert [one.severity.value for one in found] == ([severity] if severity else [])
    assert all(words in one.message for one in found)


def test_many_stray_nodes_are_one_finding() -> None:
    nodes = [make_node(f"v{number}", labels={"type": "virtual-kubelet"}) for number in range(7)]

    [found] = check_taints(nodes, pool_of)

    assert "v0, v1, v2, v3, v4 and 2 more" in found.message
