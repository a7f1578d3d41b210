"""Pods that the API server refuses after they were placed: none is held up, on the real control plane.

What is counted is where the pods run, and how many of a Deployment's replicas exist.
"""

from typing import Any

import pytest

from localcluster import ClusterApi
from localcluster.rest import Object, RestError
from tests.support.stage import GROUP_PATH, OwnedNodes, Stage

OWNED = OwnedNodes("owned-by-refused", 1, cpu="100", pods=200)
ALWAYS = {"placement": {"virtual": "Always"}}
HELD = {"cordon": "Hold"}


def _places(stage: Stage, pods: list[Object]) -> set[str]:
    return {stage.place(pod["spec"]["nodeName"]) for pod in pods}


def _left_out(stage: Stage, about: str, pool: str) -> list[str]:
    """The Events that say that the pool is left out for this workload."""
    found = stage.events("PoolLeftOut")
    return [note for owner, note in found if owner == about and stage.pools[pool] in note]


def _wait_left_out(stage: Stage, about: str, pool: str, because: str) -> None:
    """Until an Event says so for this cause: Events are written after the answer about the pod."""
    stage.cluster.wait_until(
        lambda: any(because in note for note in _left_out(stage, about, pool)), f"an Event with {because!r}"
    )


def _limit(stage: Stage, **limit: Any) -> None:
    spec = {"limits": [{"type": "Container", **limit}]}
    path = f"/api/v1/namespaces/{stage.namespace}/limitranges"
    stage.cluster.rest.create(path, {"metadata": {"name": "limits"}, "spec": spec})


def _quota(stage: Stage, **hard: str) -> None:
    body = {"metadata": {"name": "quota"}, "spec": {"hard": hard}}
    stage.cluster.rest.create(f"/api/v1/namespaces/{stage.namespace}/resourcequotas", body)


TOO_MUCH = {"sidecars": [{"name": "agent", "image": "agent:1", "resources": {"limits": {"cpu": "2"}}}]}


def test_a_pool_whose_overlay_a_limit_range_refuses_is_left_out_for_the_next_pool(stage: Stage) -> None:
    stage.govern(ALWAYS, a={"podOverlay": TOO_MUCH})
    _limit(stage, max={"cpu": "1"}, default={"cpu": "1"})
    stage.deploy("web", 6)
    assert _places(stage, stage.wait_bound("web", 6)) == {"b"}
    _wait_left_out(stage, "Deployment/web", "a", "maximum cpu usage per Container is 1")
    stage.cluster.wait_until(lambda: _refused(stage, "a"), "the condition PodsRefused")


def _refused(stage: Stage, pool: str) -> bool:
    budget = stage.cluster.rest.get(f"{GROUP_PATH}/virtualnodebudgets/{stage.pools[pool]}")
    conditions = budget.get("status", {}).get("conditions", [])
    return any(
        one["type"] == "PodsRefused" and one["status"] == "True" and "Deployment/" in one["message"]
        for one in conditions
    )


def test_without_another_pool_the_pods_become_physical(stage: Stage) -> None:
    stage.govern(ALWAYS, a={"podOverlay": TOO_MUCH}, b=HELD)
    _limit(stage, max={"cpu": "1"}, default={"cpu": "1"})
    stage.deploy("web", 3)
    stage.run_job("batch", 3)
    assert _places(stage, stage.wait_bound("web", 3)) == {"physical"}

    def job_runs() -> bool:
        pods = stage.cluster.pods(stage.namespace, "job-name=batch")
        return len(pods) == 3 and {stage.place(pod["spec"].get("nodeName", "?")) for pod in pods} == {"physical"}

    stage.cluster.wait_until(job_runs, "the Job on physical nodes")


def test_a_pod_security_level_that_refuses_an_overlay_holds_nothing_up(stage: Stage) -> None:
    dumps = {"path": "/dump", "volume": {"hostPath": {"path": "/var/dumps"}}}
    stage.govern(ALWAYS, a={"podOverlay": {"coreDump": dumps}})
    stage.cluster.rest.merge(
        f"/api/v1/namespaces/{stage.namespace}",
        {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "baseline"}}},
    )
    stage.deploy("web", 4)
    assert _places(stage, stage.wait_bound("web", 4)) == {"b"}
    _wait_left_out(stage, "Deployment/web", "a", "violates PodSecurity")


def test_a_size_that_a_namespace_refuses_is_skipped(stage: Stage) -> None:
    stock = {"detect": [{"reason": "ProviderFailed"}], "ladder": [{"cpu": "2", "memory": "4Gi"}]}
    stage.govern(ALWAYS, a={"stockOut": stock}, b=HELD)
    _limit(stage, max={"cpu": "1", "memory": "2Gi"}, default={"cpu": "1", "memory": "1Gi"})
    stage.deploy("web", 3, starts=False)
    for pod in stage.wait_bound("web", 3):
        path = f"/api/v1/namespaces/{stage.namespace}/pods/{pod['metadata']['name']}/status"
        stage.cluster.rest.merge(path, {"status": {"reason": "ProviderFailed", "message": "NoStock"}})

    def physical() -> bool:
        pods = stage.pods("web")
        return len(pods) == 3 and all(stage.place(pod["spec"].get("nodeName", "?a")) == "physical" for pod in pods)

    stage.cluster.wait_until(lambda: physical() and _bound(stage), "three physical pods")
    _wait_left_out(stage, "Deployment/web", "a", "size 2000m")


def _bound(stage: Stage) -> bool:
    return all(pod["spec"].get("nodeName") for pod in stage.pods("web"))


def test_a_quota_that_is_raised_in_steps_leaves_the_threshold_exact(stage: Stage) -> None:
    stage.govern({"threshold": {"mode": "Manual", "replicas": 4}, "placement": {"virtual": "Overflow"}})
    _quota(stage, pods="2")
    stage.deploy("web", 7)
    for allowed in range(2, 8):
        path = f"/api/v1/namespaces/{stage.namespace}/resourcequotas/quota"
        stage.cluster.rest.merge(path, {"spec": {"hard": {"pods": str(allowed)}}})
        _sync(stage)
        pods = stage.wait_bound("web", allowed)
        wanted = {"physical": min(allowed, 4)} | ({"virtual": allowed - 4} if allowed > 4 else {})
        assert stage.tiers(pods) == wanted
    assert _left_out(stage, "Deployment/web", "a") == [], "a quota on pods is not the pool's fault"


def _sync(stage: Stage) -> None:
    """Let the ReplicaSet controller try again now, which it would after a back-off that each refusal doubles."""
    path = f"/apis/apps/v1/namespaces/{stage.namespace}/replicasets"
    for replicaset in stage.cluster.rest.items(path):
        name, version = replicaset["metadata"]["name"], replicaset["metadata"]["resourceVersion"]
        stage.cluster.rest.merge(f"{path}/{name}", {"metadata": {"annotations": {"test": version}}})


def _budget(stage: Stage, overlay: dict[str, Any]) -> Object:
    return {
        "apiVersion": "spillway.dev/v1alpha1",
        "kind": "VirtualNodeBudget",
        "metadata": {"name": f"tried-{stage.id}"},
        "spec": {"nodeSelector": {"matchLabels": {"stage": stage.id}}, "podOverlay": overlay},
    }


AGENT = {"name": "agent", "image": "agent:1"}
CACHE = {"name": "cache", "emptyDir": {}}
TWO_SOURCES = {"name": "cache", "emptyDir": {}, "hostPath": {"path": "/"}}


@pytest.mark.parametrize(
    ("overlay", "field"),
    [
        pytest.param({"dnsConfig": {"nameservers": ["dns.corp"]}}, "dnsConfig.nameservers[0]", id="name server"),
        pytest.param({"dnsConfig": {"searches": ["bad domain"]}}, "dnsConfig.searches[0]", id="search domain"),
        pytest.param({"annotations": {"my key": "x"}}, "annotations", id="annotation"),
        pytest.param({"labels": {"-bad-": "x"}}, "labels", id="label"),
        pytest.param({"labels": {"tier": "not valid!"}}, "labels", id="value of a label"),
        pytest.param({"sidecars": [{"name": "Agent_1", "image": "agent:1"}]}, "sidecars[0].name", id="sidecar"),
        pytest.param(
            {"sidecars": [{**AGENT, "volumeMounts": [{"name": "data", "mountPath": "/data"}]}]},
            "sidecars[0].volumeMounts[0].name",
            id="mount of no volume",
        ),
        pytest.param({"sidecars": [{**AGENT, "imge": "x"}]}, "", id="misspelled field"),
        pytest.param({"volumes": [TWO_SOURCES]}, "volumes[0]", id="volume with two sources"),
        pytest.param({"coreDump": {"path": "/data:dump", "volume": {"emptyDir": {}}}}, "coreDump.path", id="core dump"),
        pytest.param({"coreDump": {"path": "/d", "volume": TWO_SOURCES}}, "coreDump.volume", id="its volume"),
        pytest.param({"tolerations": [{"key": "not valid!", "operator": "Exists"}]}, "tolerations[0]", id="toleration"),
        pytest.param({"env": [{"name": "A B", "value": "x"}]}, "env[0].name", id="variable"),
    ],
)
def test_an_overlay_that_the_api_server_refuses_is_refused_by_its_field(
    stage: Stage, overlay: dict[str, Any], field: str
) -> None:
    with pytest.raises(RestError) as refused:
        stage.cluster.rest.create(f"{GROUP_PATH}/virtualnodebudgets?dryRun=All", _budget(stage, overlay))
    assert f"spec.podOverlay{'.' if field else ''}{field}" in str(refused.value)


def test_an_overlay_that_the_api_server_takes_is_stored(stage: Stage) -> None:
    mounts = [{"name": "cache", "mountPath": "/cache"}]
    overlay = {"volumes": [CACHE], "sidecars": [{**AGENT, "volumeMounts": mounts}], "annotations": {"a.b/c": "d"}}
    assert stage.cluster.rest.create(f"{GROUP_PATH}/virtualnodebudgets?dryRun=All", _budget(stage, overlay))
    stage.govern(ALWAYS, a={"podOverlay": overlay}, b=HELD)
    stage.deploy("web", 1)
    [pod] = stage.wait_bound("web", 1)
    assert stage.place(pod["spec"]["nodeName"]) == "a"
    assert CACHE in pod["spec"]["volumes"]


def test_the_operators_namespace_says_nothing_about_others(stage: Stage, cluster: ClusterApi) -> None:
    quota = "/api/v1/namespaces/spillway-system/resourcequotas"
    body = {"metadata": {"name": "trial"}, "spec": {"hard": {"pods": "0"}}}
    cluster.rest.create(quota, body)
    try:
        overlay = {"sidecars": [AGENT]}
        assert cluster.rest.create(f"{GROUP_PATH}/virtualnodebudgets?dryRun=All", _budget(stage, overlay))
    finally:
        cluster.rest.delete(f"{quota}/trial")
