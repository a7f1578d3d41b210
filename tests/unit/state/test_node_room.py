"""A node with room for a pod: everything that the pod requests is free there, and is promised once."""

import pytest

from spillway.domain.fit.room import NodeRoom
from spillway.domain.fit.volume_reach import VolumeReach
from spillway.domain.model.documents import Json
from spillway.domain.model.host_ports import HostPort
from spillway.domain.model.names import NodeName
from spillway.domain.model.records import NodeRecord, PodRecord, Taint
from spillway.domain.model.usage import Usage
from spillway.state.node_room import FreeNodes, PodFit
from tests.builders import make_node, make_pod
from tests.support.fake_clock import FakeClock
from tests.support.world import make_world

GPU = "gpu.example.com/a"
WANTS_GPU: Json = {"containers": [{"name": "main", "resources": {"requests": {GPU: "1"}}}]}
REQUEST = Usage(1, 100)


def free(*records: NodeRecord | PodRecord) -> FreeNodes:
    state = make_world(records, [], FakeClock()).state
    return FreeNodes(state, NodeRoom({name: state.node_usage.free_on(node) for name, node in state.nodes.items()}))


@pytest.mark.parametrize(
    ("pod", "wanted"),
    [
        pytest.param(PodFit({}), "n1", id="one that asks for nothing else"),
        pytest.param(PodFit({"tolerations": [{"operator": "Exists"}]}), "large", id="the emptiest that it tolerates"),
        pytest.param(PodFit(WANTS_GPU), "gpu", id="one with the resource free"),
        pytest.param(PodFit({"nodeSelector": {"zone": "c"}}), None, id="none with the label"),
        pytest.param(
            PodFit({}, [VolumeReach("data", terms=[{"matchFields": [
                {"key": "metadata.name", "operator": "In", "values": ["gpu"]}
            ]}])]),
            "gpu",
            id="one that reaches its volume",
        ),
    ],
)  # fmt: skip
def test_the_node_that_is_found(pod: PodFit, wanted: str | None) -> None:
    nodes = free(
        make_node("large", cpu_millis=4000, taints=(Taint("dedicated", "NoSchedule", "x"),)),
        make_node("n1", cpu_millis=3000),
        make_node("gpu", cpu_millis=2000, extended={GPU: 1}),
        make_node("gpu-taken", cpu_millis=2500, extended={GPU: 1}),
        make_pod("other", node=NodeName("gpu-taken"), cpu_millis=1, extended={GPU: 1}),
    )
    assert nodes.find(pod, REQUEST) == wanted


def test_a_port_of_a_node_is_given_once() -> None:
    pod = PodFit({"containers": [{"name": "main", "ports": [{"containerPort": 80, "hostPort": 8080}]}]})
    other = PodFit({"containers": [{"name": "main", "ports": [{"containerPort": 80, "hostPort": 9090}]}]})
    nodes = free(
        make_node("n1", cpu_millis=2000),
        make_node("n2", cpu_millis=1000),
        make_pod("proxy", node=NodeName("n1"), cpu_millis=1, host_ports=(HostPort(8080),)),
    )
    assert nodes.find(pod, REQUEST) == "n2"
    assert nodes.find(other, REQUEST) == "n1"
    assert [nodes.take(pod, REQUEST) for _ in range(2)] == [True, False]
    assert pod.key != other.key


def test_what_is_promised_is_not_promised_again() -> None:
    nodes, pod = free(make_node("n1", cpu_millis=1000, extended={GPU: 2})), PodFit(WANTS_GPU)
    assert [nodes.take(pod, REQUEST) for _ in range(3)] == [True, True, False]
    assert nodes.take(PodFit({}), Usage(1, 800))
    assert not nodes.take(PodFit({}), REQUEST)
