"""Overlays on the real API server: it takes every pod that they make, as strictly as a namespace can ask."""

from collections.abc import Mapping
from typing import Any

import pytest

from localcluster import ClusterApi
from localcluster.rest import RestError
from spillway.domain.model.additions import annotation_additions, json_patch
from spillway.domain.overlay.draft import Draft
from spillway.domain.overlay.plan import add_landing_variables, add_overlay
from tests.unit.domain.overlay.overlay_cases import CASES, FULL, LOGS, Json, container, overlay, pod

pytestmark = pytest.mark.cluster

RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
JSON_PATCH = "application/json-patch+json"


def dry_run(cluster: ClusterApi, namespace: str, body: Mapping[str, Any]) -> Json:
    """The pod as the server would store it."""
    created: Json = cluster.rest.request(
        "POST",
        f"/api/v1/namespaces/{namespace}/pods",
        params={"dryRun": "All", "fieldValidation": "Strict"},
        body={**body, "metadata": {**body["metadata"], "namespace": namespace}},
    )
    return created


def overlaid(body: Mapping[str, Any], fields: Json) -> Draft:
    draft, wanted = Draft(body), overlay(**fields)
    add_overlay(draft, wanted, pool="pool-v")
    add_landing_variables(draft, [("pool-v", wanted)])
    return draft


@pytest.mark.parametrize("name", CASES)
def test_every_overlaid_pod_is_valid_and_a_second_round_adds_nothing(
    cluster: ClusterApi, namespace: str, name: str
) -> None:
    body, fields = CASES[name]
    # As admission sees it: with the server's defaults.
    defaulted = dry_run(cluster, namespace, body)
    stored = dry_run(cluster, namespace, {key: overlaid(defaulted, fields).pod[key] for key in body})

    assert overlaid(stored, fields).additions == ()
    landing = Draft(stored)
    add_landing_variables(landing, [("pool-v", overlay(**fields))])
    assert (landing.additions, landing.conflicts) == ((), ())


def test_the_servers_json_patch_does_what_a_plan_says(cluster: ClusterApi, namespace: str) -> None:
    """On an object that may be patched freely: a pod may not, once it is there."""
    present = {"present": "0"}
    metadata = {"name": "one", "namespace": namespace, "annotations": present}
    raw = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata}
    cluster.rest.create(f"/api/v1/namespaces/{namespace}/configmaps", raw)
    patch = json_patch(annotation_additions(present, {"a/b": "1", "c~d": "2"}))
    path = f"/api/v1/namespaces/{namespace}/configmaps/one"
    # "~" is no part of a valid key: the server has to have read it back.
    with pytest.raises(RestError, match="c~d"):
        cluster.rest.request("PATCH", path, body=patch, content_type=JSON_PATCH)
    patched = cluster.rest.request("PATCH", path, body=patch[:1], content_type=JSON_PATCH)
    assert patched["metadata"]["annotations"].items() >= {"a/b": "1"}.items()


def test_a_namespace_that_is_restricted_takes_the_shipper_with_the_pod(cluster: ClusterApi) -> None:
    mounts = [{"name": "logs", "mountPath": "/var/log/app"}]
    body = pod(container(securityContext=RESTRICTED, volumeMounts=mounts))
    with cluster.namespace(labels={"pod-security.kubernetes.io/enforce": "restricted"}) as namespace:
        for shipper in ("Vector", "FluentBit"):
            stored = dry_run(cluster, namespace, overlaid(body, {"logs": LOGS | {"shipper": shipper}}).pod)
            assert stored["spec"]["initContainers"][0]["securityContext"]["runAsUser"] == 65532


def test_a_namespace_with_a_quota_takes_the_shipper_with_the_pod(cluster: ClusterApi) -> None:
    mounts = [{"name": "logs", "mountPath": "/var/log/app"}]
    body = pod(container(resources={"requests": {"cpu": "1", "memory": "1Gi"}}, volumeMounts=mounts))
    with cluster.namespace() as namespace:
        quota = {"metadata": {"name": "all"}, "spec": {"hard": {"requests.cpu": "10", "requests.memory": "10Gi"}}}
        path = f"/api/v1/namespaces/{namespace}/resourcequotas"
        cluster.rest.create(path, quota)
        cluster.wait_until(lambda: "hard" in cluster.rest.get(f"{path}/all").get("status", {}), "the quota")
        # Admission hears of the quota's status later, and refuses all pods until then.
        cluster.wait_until(lambda: dry_run(cluster, namespace, body), "the quota in admission")

        assert dry_run(cluster, namespace, overlaid(body, {"logs": LOGS}).pod)
        with pytest.raises(RestError, match="must specify requests"):
            dry_run(cluster, namespace, overlaid(body, {"sidecars": FULL["sidecars"]}).pod)
