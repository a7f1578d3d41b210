"""The pod as a list of containers with requests, the ladder as `cpu/memory`, the outcome as the pod's new sum."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.api.virtualnodebudget import StockOut
from spillway.domain.model.names import SIZE
from spillway.domain.pools.resize import requests_of, resize
from spillway.domain.pools.sizes import Size
from spillway.kube import decode
from tests.support.json_patch import applied

GIB = 1 << 30
KEY = "k8s.aliyun.com/eci-use-specs"
LADDER = [{"cpu": "2", "memory": "4Gi"}, {"cpu": "4", "memory": "8Gi"}]


def stock_out(*, annotation: bool = False, **given_annotation: str) -> StockOut:
    wanted = {"annotation": {"key": KEY, **given_annotation}} if annotation or given_annotation else {}
    return StockOut.model_validate({"detect": [{"reason": "NoStock"}], "ladder": LADDER, **wanted})


def pod(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "web-1", "namespace": "shop", "annotations": {}},
        "spec": {"containers": [{"name": f"c{index}", **one} for index, one in enumerate(containers)], **spec},
    }


def asks(cpu: str, memory: str, limits: dict[str, str] | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"requests": {"cpu": cpu, "memory": memory}}
    return {"resources": found | ({"limits": limits} if limits else {})}


@pytest.mark.parametrize(
    ("body", "step", "requests"),
    [
        pytest.param(pod(asks("1", "1Gi")), 0, [("1", "1Gi")], id="step 0 is what the pod requests"),
        pytest.param(pod(asks("1", "1Gi")), 1, [("2", "4096Mi")], id="one container"),
        pytest.param(pod(asks("1", "1Gi")), 2, [("4", "8192Mi")], id="the second size"),
        pytest.param(pod(asks("3", "1Gi")), 1, [("4", "8192Mi")], id="the first size that is big enough"),
        pytest.param(pod(asks("2", "4Gi")), 1, [("2", "4Gi")], id="it has that size already"),
        pytest.param(pod(asks("16", "1Gi")), 1, [("16", "1Gi")], id="more than the ladder has"),
        pytest.param(pod(asks("1", "1Gi")), 3, [("1", "1Gi")], id="beyond the ladder nothing is asked"),
        pytest.param(
            pod(asks("750m", "3Gi"), asks("250m", "1Gi")),
            1,
            [("1500m", "3Gi"), ("500m", "1Gi")],
            id="shared as it is shared now, memory enough already",
        ),
        pytest.param(pod({}, {}), 1, [("2", "4096Mi"), None], id="without requests the first takes all"),
    ],
)
def test_requests_grow_until_the_pods_sum_is_the_size(
    body: dict[str, Any], step: int, requests: list[tuple[str, str] | None]
) -> None:
    after = applied(body, resize(body, stock_out(), step).additions)
    found = [one.get("resources", {}).get("requests") for one in after["spec"]["containers"]]
    assert found == [one and {"cpu": one[0], "memory": one[1]} for one in requests]


def test_a_limit_that_would_be_below_grows_too_and_others_stay() -> None:
    body = pod(asks("1", "1Gi", {"cpu": "1", "memory": "16Gi"}))
    after = applied(body, resize(body, stock_out(), 1).additions)
    assert after["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "2", "memory": "4096Mi"},
        "limits": {"cpu": "2", "memory": "16Gi"},
    }


def test_sidecars_and_overhead_count_and_do_not_grow() -> None:
    body = pod(
        asks("500m", "1Gi"),
        initContainers=[{"name": "log", "restartPolicy": "Always", **asks("500m", "1Gi")}],
        overhead={"cpu": "100m"},
    )
    after = applied(body, resize(body, stock_out(), 1).additions)
    assert after["spec"]["initContainers"] == body["spec"]["initContainers"]
    assert after["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "1400m", "memory": "3072Mi"}


def test_requests_of_the_pod_as_a_whole_grow_in_their_place() -> None:
    body = pod(asks("500m", "1Gi"), resources={"requests": {"cpu": "1", "memory": "2Gi"}})
    after = applied(body, resize(body, stock_out(), 1).additions)
    assert after["spec"]["resources"] == {"requests": {"cpu": "2", "memory": "4096Mi"}}
    assert after["spec"]["containers"] == body["spec"]["containers"]


@pytest.mark.parametrize(
    ("step", "listed", "mark"),
    [(0, None, ""), (1, "2-4Gi,4-8Gi", "2000m-4294967296"), (2, "4-8Gi", "4000m-8589934592")],
)
def test_the_providers_annotation_lists_the_sizes_from_the_present_step_on(
    step: int, listed: str | None, mark: str
) -> None:
    body = pod(asks("1", "1Gi"))
    resized = resize(body, stock_out(annotation=True), step)
    after = applied(body, resized.additions)
    assert after["metadata"]["annotations"].get(KEY) == listed
    assert after["spec"] == body["spec"]
    assert resized.size_mark == mark


def test_the_annotation_is_written_as_the_provider_wants_it() -> None:
    body = pod(asks("1500m", "1Gi"))
    del body["metadata"]["annotations"]
    wanted = stock_out(key="example.com/sizes", format="{cpu}C{memoryGiB}G", separator=";")
    after = applied(body, resize(body, wanted, 1).additions)
    assert after["metadata"]["annotations"] == {"example.com/sizes": "2C4G;4C8G"}


def test_the_users_own_annotation_is_kept_and_nothing_is_billed_for_it() -> None:
    body = pod(asks("1", "1Gi"))
    body["metadata"]["annotations"] = {KEY: "1-2Gi"}
    assert resize(body, stock_out(annotation=True), 1) == ((), "")


@pytest.mark.parametrize("annotation", [False, True])
def test_twice_is_once(*, annotation: bool) -> None:
    body = pod(asks("1", "1Gi"))
    wanted = stock_out(annotation=annotation)
    first = resize(body, wanted, 1)
    after = applied(body, first.additions)
    after["metadata"]["annotations"][SIZE] = first.size_mark
    assert resize(after, wanted, 1) == ((), ""), "the mark that stands there stays"


amounts = st.fixed_dictionaries(
    {},
    optional={
        "cpu": st.sampled_from(["1", "250m", "333m", "1.5", 2, "7"]),
        "memory": st.sampled_from(["1Gi", "100M", "333333333", "5Gi", 1024]),
    },
)
containers = st.fixed_dictionaries(
    {}, optional={"resources": st.fixed_dictionaries({}, optional={"requests": amounts})}
)


@given(
    st.lists(containers, min_size=1, max_size=4),
    st.lists(containers, max_size=2),
    st.sampled_from([None, "Always"]),
    st.integers(0, 3),
)
def test_any_pod_ends_with_the_size_or_stays(
    running: list[dict[str, Any]], first: list[dict[str, Any]], restart: str | None, step: int
) -> None:
    body = pod(
        *running, initContainers=[{"name": f"i{i}", "restartPolicy": restart, **one} for i, one in enumerate(first)]
    )
    before = requests_of(body)
    resized = resize(body, stock_out(), step)
    after = requests_of(applied(body, resized.additions))
    assert after.covers(before)
    if resized.size_mark:
        assert after == Size.parse(resized.size_mark) != before
    else:
        assert after == before


@given(
    running=st.lists(containers, min_size=1, max_size=3), first=st.lists(containers, max_size=3), sidecar=st.booleans()
)
def test_requests_are_summed_as_the_informer_sums_them(
    running: list[dict[str, Any]],
    first: list[dict[str, Any]],
    *,
    sidecar: bool,
) -> None:
    def texts(one: dict[str, Any]) -> dict[str, Any]:
        requests = {key: str(value) for key, value in one.get("resources", {}).get("requests", {}).items()}
        return {"resources": {"requests": requests}}

    inits = [{**texts(one), **({"restartPolicy": "Always"} if sidecar else {})} for one in first]
    body = pod(*map(texts, running), initContainers=inits)
    record = decode.PODS.one(json.dumps(body).encode())
    assert requests_of(body) == Size(record.cpu_millis, record.memory_bytes)
