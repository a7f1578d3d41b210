"""A node as plans of moves see it."""

import pytest

from spillway.domain.balance.node import OpenZones, PlannedNode
from spillway.domain.model.host_ports import HostPort
from spillway.domain.model.names import CANDIDATE_TAINT, HOT_TAINT, ZONE_LABEL, NodeName, Zone
from spillway.domain.model.records import NodeRecord, PodRecord, Taint
from spillway.domain.model.usage import Usage
from tests.builders import make_node, make_pod

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


ONE_GPU, TWO_GPUS = ({"gpu": amount} for amount in (1, 2))
PORT = HostPort(80)


@pytest.mark.parametrize(
    ("pod", "coming", "offers"),
    [
        pytest.param(make_pod(), (make_pod(extended=TWO_GPUS),), True, id="it takes nothing more"),
        pytest.param(make_pod(extended=TWO_GPUS), (), True, id="so much is free"),
        pytest.param(make_pod(extended={"gpu": 3}), (), False, id="too little is free"),
        pytest.param(make_pod(extended={"fpga": 1}), (), False, id="it does not offer it"),
        pytest.param(make_pod(extended=TWO_GPUS), (make_pod(extended=ONE_GPU),), False, id="another pod takes it"),
        pytest.param(make_pod(extended=ONE_GPU), (make_pod(extended=ONE_GPU), make_pod()), True, id="both get it"),
        pytest.param(make_pod(host_ports=(PORT,)), (), True, id="a port is free"),
        pytest.param(make_pod(host_ports=(HostPort(443),)), (), False, id="a pod has the port"),
        pytest.param(make_pod(host_ports=(PORT,)), (make_pod(host_ports=(PORT,)),), False, id="another pod gets it"),
    ],
)
def test_what_is_free_beside_cpu_and_memory(pod: PodRecord, coming: tuple[PodRecord, ...], *, offers: bool) -> None:
    node = PlannedNode.of(make_node("n1"), FREE, ZONE_LABEL, extended={"gpu": 2}, host_ports=(HostPort(443),))
    assert node.offers(pod, coming) is offers


def test_a_zone_without_pods_is_open_if_a_node_there_takes_them_whether_it_has_room_or_not() -> None:
    records = {
        "source": make_node("source", labels={ZONE_LABEL: "a"}, taints=(SOFT,)),
        "full": make_node("full", labels={ZONE_LABEL: "b"}),
        "cordoned": make_node("cordoned", labels={ZONE_LABEL: "c"}, unschedulable=True),
        "gpu": make_node("gpu", labels={ZONE_LABEL: "d"}, taints=(GPU,)),
        "other": make_node("other", labels={ZONE_LABEL: "e"}),
        "nowhere": make_node("nowhere"),
    }
    nodes = {name: PlannedNode.of(one, Usage(0, 0, 0), ZONE_LABEL) for name, one in records.items()}
    zones = OpenZones(nodes.values(), lambda one: one.zone)
    assert sorted(zones.empty("shop/api", {}, nodes["gpu"], lambda _: True)) == ["a", "b", "d", "e"]
    pods = {Zone("a"): 1, Zone("b"): 0}
    assert zones.empty("shop/web", pods, nodes["source"], lambda one: one.name != "other") == ["b"]
