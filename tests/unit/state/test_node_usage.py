"""The usage of each node equals the sum over its pods, whatever happened before."""

from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.model.host_ports import HostPort
from spillway.domain.model.names import NodeName
from spillway.domain.model.records import Phase, PodRecord
from spillway.domain.model.usage import NOTHING, Usage
from spillway.state.node_usage import NodeUsage
from tests.builders import make_node, make_pod

NODES = [NodeName(name) for name in ("", "n1", "n2")]

versions = st.none() | st.builds(
    lambda name, node, phase, cpu, terminating: make_pod(
        name, node=node, phase=phase, cpu_millis=cpu, memory_bytes=7 * cpu, terminating=terminating
    ),
    st.just(""),
    st.sampled_from(NODES),
    st.sampled_from([Phase.PENDING, Phase.RUNNING, Phase.SUCCEEDED, Phase.FAILED]),
    st.integers(0, 5),
    st.booleans(),
)


@given(st.lists(st.tuples(st.sampled_from("abc"), versions)))
def test_the_usage_is_that_of_the_pods_that_hold_room(history: list[tuple[str, PodRecord | None]]) -> None:
    usage, present = NodeUsage(), dict[str, PodRecord | None]()
    for name, pod in history:
        usage.replace(present.get(name), pod)
        present[name] = pod
    for node in NODES[1:]:
        held = [one for one in present.values() if one is not None and one.node == node and not one.finished]
        expected = Usage(len(held), sum(one.cpu_millis for one in held), sum(one.memory_bytes for one in held))
        assert usage.on_node(node) == expected


def test_a_terminating_pod_holds_its_room_and_a_finished_one_does_not() -> None:
    usage = NodeUsage()
    pod, leaving = make_pod(cpu_millis=3, memory_bytes=4), make_pod(cpu_millis=3, memory_bytes=4, terminating=True)
    usage.replace(None, pod)
    usage.replace(pod, leaving)
    assert usage.on_node(pod.node) == Usage(1, 3, 4)
    usage.replace(leaving, make_pod(phase=Phase.SUCCEEDED))
    assert usage.on_node(pod.node) == NOTHING


def test_what_is_free_on_a_node() -> None:
    usage, node = NodeUsage(), make_node(cpu_millis=1000, memory_bytes=100, pods_allocatable=2)
    usage.replace(None, make_pod(cpu_millis=400, memory_bytes=150))
    assert usage.free_on(node) == Usage(1, 600, -50)


def test_what_is_left_of_a_resource_beside_cpu_and_memory() -> None:
    usage, node = NodeUsage(), make_node(extended={"gpu.example.com/a": 4})
    one, other = make_pod("a", extended={"gpu.example.com/a": 1}), make_pod("b", extended={"gpu.example.com/a": 3})
    usage.replace(None, one)
    usage.replace(None, other)
    assert usage.extended_free_on(node, "gpu.example.com/a") == 0
    assert usage.extended_free_on(node, "other.example.com/b") == 0
    assert usage.all_extended_free_on(node) == {"gpu.example.com/a": 0}
    assert not usage.offers(node, {"gpu.example.com/a": 1})
    usage.replace(other, make_pod("b", extended={"gpu.example.com/a": 3}, phase=Phase.SUCCEEDED))
    assert usage.offers(node, {"gpu.example.com/a": 3})
    usage.replace(one, None)
    assert usage.extended_free_on(node, "gpu.example.com/a") == 4
    assert usage.all_extended_free_on(node) == {"gpu.example.com/a": 4}


def test_a_port_is_free_again_when_the_last_pod_that_takes_it_is_gone() -> None:
    usage, ports = NodeUsage(), (HostPort(80), HostPort(80, "UDP"))
    first, second = make_pod("a", host_ports=ports), make_pod("b", host_ports=ports[:1])
    usage.replace(None, first)
    usage.replace(None, second)
    assert set(usage.ports_on(first.node)) == set(ports)
    usage.replace(first, None)
    assert set(usage.ports_on(first.node)) == {HostPort(80)}
    usage.replace(second, make_pod("b", host_ports=ports[:1], phase=Phase.SUCCEEDED))
    assert not usage.ports_on(first.node)
