"""What a pod requests: written, allocated to it, or in use; as the planners sum it too."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.fit.requests import requested
from spillway.kube.requests import pod_sums
from spillway.kube.wire import PodSpec, PodStatus

Object = dict[str, Any]

GIB = 1 << 30


def requests(spec: Object, status: Object | None = None) -> tuple[int, int]:
    return pod_sums(msgspec.convert(spec, PodSpec), msgspec.convert(status or {}, PodStatus))[0]


def granted(spec: Object, status: Object) -> tuple[int, int] | None:
    return pod_sums(msgspec.convert(spec, PodSpec), msgspec.convert(status, PodStatus))[1]


def container(cpu: str, name: str = "app", *, sidecar: bool = False) -> Object:
    stays = {"restartPolicy": "Always"} if sidecar else {}
    return {"name": name, "resources": {"requests": {"cpu": cpu, "memory": "1Gi"}}} | stays


def reported(allocated: str, in_use: str | None = None, name: str = "app") -> Object:
    """What a kubelet reports of a container since Kubernetes 1.33."""
    return {
        "name": name,
        "allocatedResources": {"cpu": allocated, "memory": "1Gi"},
        "resources": {"requests": {"cpu": in_use or allocated, "memory": "1Gi"}},
    }


def pending(reason: str) -> Object:
    return {"type": "PodResizePending", "status": "True", "reason": reason}


def test_what_a_kubelet_reports_changes_nothing_where_nothing_is_resized() -> None:
    assert requests({"containers": [container("250m")]}, {"containerStatuses": [reported("250m")]}) == (250, GIB)


@pytest.mark.parametrize(
    ("written", "allocated", "in_use", "cpu_millis"),
    [
        pytest.param("250m", "1500m", "1500m", 1500, id="smaller, and the kubelet has not looked at it"),
        pytest.param("250m", "250m", "1500m", 1500, id="smaller, and not done yet"),
        pytest.param("2", "1", "1", 2000, id="bigger, and not allocated yet"),
        pytest.param("2", "2", "1", 2000, id="bigger, and not done yet"),
    ],
)
def test_a_pod_that_is_being_resized_counts_as_the_largest(
    written: str, allocated: str, in_use: str, cpu_millis: int
) -> None:
    status = {"containerStatuses": [reported(allocated, in_use)]}
    assert requests({"containers": [container(written)]}, status) == (cpu_millis, GIB)


@pytest.mark.parametrize(("reason", "cpu_millis"), [("Infeasible", 1000), ("Deferred", 4000)])
def test_a_resize_that_the_node_can_never_do_does_not_count(reason: str, cpu_millis: int) -> None:
    status = {"conditions": [pending(reason)], "containerStatuses": [reported("1")]}
    assert requests({"containers": [container("4")]}, status)[0] == cpu_millis


def test_what_is_granted_is_what_the_kubelet_reports() -> None:
    spec = {"containers": [container("100")], "overhead": {"cpu": "1"}}
    assert granted(spec, {"containerStatuses": [reported("1")]}) == (2000, GIB)
    assert granted({"containers": [container("1")]}, {"containerStatuses": [reported("1")]}) == (1000, GIB)
    whole = {"cpu": "3", "memory": "1Gi"}
    level = {**spec, "resources": {"requests": {"cpu": "100"}}}
    status = {"containerStatuses": [reported("1")]}
    assert granted(level, status | {"allocatedResources": whole, "resources": {"requests": whole}}) == (4000, GIB)
    assert granted(level, status) is None, "nothing is said of the pod as a whole"


@pytest.mark.parametrize(
    "statuses", [[], [{"name": "app"}], [reported("1")]], ids=["none", "no amounts", "not of all containers"]
)
def test_nothing_is_granted_while_no_kubelet_reports_all(statuses: list[Object]) -> None:
    spec = {"containers": [container("100"), container("1", "b")]}
    assert granted(spec, {"containerStatuses": statuses}) is None


def test_sidecars_are_resized_as_well() -> None:
    spec = {"containers": [container("1")], "initContainers": [container("100m", "proxy", sidecar=True)]}
    status = {"initContainerStatuses": [reported("500m", name="proxy")]}
    assert requests(spec, status) == (1500, 2 * GIB)


def test_statuses_are_told_apart_by_name() -> None:
    spec = {"containers": [container("1", "b"), container("2", "a")]}
    assert requests(spec, {"containerStatuses": [reported("2", name="a"), reported("1", name="b")]})[0] == 3000


def test_requests_of_the_pod_as_a_whole_are_resized_as_well() -> None:
    spec = {"containers": [container("1")], "resources": {"requests": {"cpu": "2"}}}
    whole = {"cpu": "3", "memory": "1Gi"}
    assert requests(spec, {"allocatedResources": whole, "resources": {"requests": whole}}) == (3000, GIB)
    # Without these a cluster before 1.36 says nothing of the pod as a whole.
    assert requests(spec, {"containerStatuses": [reported("1")]}) == (2000, GIB)


@pytest.mark.parametrize("text", ["much", "10e99", "9" * 30])
def test_an_amount_that_is_no_quantity_or_more_than_kubernetes_counts_is_nothing(text: str) -> None:
    spec = {"containers": [container(text)]}
    assert requests(spec, {"containerStatuses": [reported(text)]}) == (0, GIB)
    assert requested(spec, "cpu") == 0


CPU = st.sampled_from(["0", "1", "100m", "250m", "1500m", "0.5", "2", "1e1"])
MEMORY = st.sampled_from(["0", "64Mi", "100M", "1Gi", "1.5Gi", "123456", "2e9"])
AMOUNTS = st.fixed_dictionaries({}, optional={"cpu": CPU, "memory": MEMORY, "nvidia.com/gpu": st.just("1")})
REQUESTS = st.fixed_dictionaries({}, optional={"requests": AMOUNTS})


def containers(*restart_policies: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    optional: dict[str, Any] = {"resources": REQUESTS}
    if restart_policies:
        optional["restartPolicy"] = st.sampled_from(restart_policies)
    return st.lists(st.fixed_dictionaries({"name": st.just("c")}, optional=optional), max_size=4)


SPECS = st.fixed_dictionaries(
    {"containers": containers()},
    optional={"initContainers": containers("Always"), "overhead": AMOUNTS, "resources": REQUESTS},
)


@given(spec=SPECS)
def test_informer_and_planners_agree_on_what_a_pod_requests(spec: dict[str, Any]) -> None:
    assert requests(spec) == (requested(spec, "cpu"), requested(spec, "memory"))


def test_an_infeasible_resize_of_one_container_counts_nothing_that_is_not_allocated() -> None:
    spec = {"containers": [container("4")]}
    waiting = {"type": "PodResizePending", "status": "True", "reason": "Infeasible"}
    assert requests(spec)[0] == 4000
    assert requests(spec, {"conditions": [waiting]})[0] == 0
