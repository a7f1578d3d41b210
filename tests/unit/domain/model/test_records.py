import pytest

from spillway.domain.model.names import NodeName
from spillway.domain.model.records import Pending, Phase, PodRecord
from spillway.domain.model.usage import Usage
from tests.builders import make_pod, make_replicaset, make_statefulset

WAITS = Pending(unschedulable_since=100.0, pools="a,b")


@pytest.mark.parametrize("phase", Phase, ids=str)
def test_a_pod_is_finished_once_its_containers_have_ended(phase: Phase) -> None:
    pod = make_pod(phase=phase)
    assert pod.finished is (phase in {"Succeeded", "Failed"})
    assert pod.active is not pod.finished


@pytest.mark.parametrize(
    ("pod", "since"),
    [
        pytest.param(make_pod(node=NodeName(""), pending=WAITS), 100.0, id="no node was found"),
        pytest.param(make_pod(node=NodeName(""), pending=Pending()), 0.0, id="the scheduler looks for one"),
        pytest.param(make_pod(node=NodeName("n1"), pending=WAITS), 0.0, id="it has a node"),
        pytest.param(make_pod(node=NodeName(""), pending=WAITS, terminating=True), 0.0, id="it is being deleted"),
        pytest.param(make_pod(node=NodeName("")), 0.0, id="nothing is known of it"),
    ],
)
def test_since_when_a_pod_waits_for_a_node(pod: PodRecord, since: float) -> None:
    assert pod.unschedulable_since == since


def test_what_a_record_says_of_itself() -> None:
    assert make_pod(cpu_millis=250, memory_bytes=10).requests == Usage(1, 250, 10)
    assert (make_pod(pending=WAITS).marked_pools, make_pod(pending=None).marked_pools) == (("a", "b"), ())
    assert make_replicaset().workload_kind == "Deployment"
    assert make_replicaset(owner_uid="", owner_kind="", owner_name="").workload_kind == "ReplicaSet"


@pytest.mark.parametrize(
    ("name", "start", "position"),
    [
        ("db-0", 0, 0),
        ("db-12", 0, 12),
        ("db-7", 5, 2),
        ("db-3", 5, 0),
        ("other-0", 0, None),
        ("db", 0, None),
        ("db-x", 0, None),
        ("db-²", 0, None),
        ("", 0, None),
    ],
)
def test_the_position_of_a_statefulsets_pod(name: str, start: int, position: int | None) -> None:
    assert make_statefulset(start=start).position(name) == position
