"""What a pod requests beside CPU and memory: as the planners sum it."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.fit.requests import extended_requests
from spillway.kube.extended_requests import KEPT_MAX, pod_extended_requests
from spillway.kube.wire import PodSpec

Object = dict[str, Any]
GPU = "nvidia.com/gpu"


def of(spec: Object) -> dict[str, int] | None:
    return pod_extended_requests(msgspec.json.decode(msgspec.json.encode(spec), type=PodSpec))


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ({}, None),
        ({"containers": [{}, {"resources": {"limits": None}}]}, None),
        ({"containers": [{"resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "2"}}}]}, None),
        ({"containers": [{"resources": {"limits": {"ephemeral-storage": "1Gi"}}}]}, None),
        ({"containers": [{"resources": {"requests": {GPU: "0"}, "limits": {GPU: "0"}}}]}, None),
        ({"overhead": {"ephemeral-storage": "1Mi"}, "containers": [{"resources": {"limits": {GPU: "1"}}}]},
         {GPU: 1, "ephemeral-storage": 1 << 20}),
    ],
)  # fmt: skip
def test_most_pods_request_nothing_of_the_kind(spec: Object, wanted: dict[str, int] | None) -> None:
    assert of(spec) == wanted


def test_pods_that_request_the_same_share_it() -> None:
    spec = {"containers": [{"resources": {"limits": {GPU: "2"}}}]}
    assert of(spec) is of(spec)


def test_of_a_pod_that_names_thousands_a_bounded_number_is_kept() -> None:
    limits = {f"example.com/device-{number:04}": "1" for number in range(5000)}
    found = of({"containers": [{"resources": {"limits": limits}}]})
    assert list(found or ()) == sorted(limits)[:KEPT_MAX]


EXTENDED = st.fixed_dictionaries(
    {}, optional={GPU: st.sampled_from(["1", "2"]), "hugepages-2Mi": st.just("4Mi"), "cpu": st.just("1")}
)
STORAGE = st.fixed_dictionaries({}, optional={"ephemeral-storage": st.sampled_from(["1Gi", "64Mi"])})


@st.composite
def resources(draw: st.DrawFn) -> Object:
    """As stored: of an extended resource limit and request are the same."""
    extended = draw(EXTENDED)
    return {"limits": {**extended, "memory": "1Gi"}, "requests": {**extended, **draw(STORAGE)}}


def containers(*restart_policies: str) -> st.SearchStrategy[list[Object]]:
    optional: dict[str, Any] = {"resources": resources()}
    if restart_policies:
        optional["restartPolicy"] = st.sampled_from(restart_policies)
    return st.lists(st.fixed_dictionaries({"name": st.just("c")}, optional=optional), max_size=3)


@given(spec=st.fixed_dictionaries({"containers": containers(), "initContainers": containers("Always")}))
def test_informer_and_planners_agree(spec: Object) -> None:
    assert (of(spec) or {}) == extended_requests(spec)
