"""What keeps a pod on physical nodes, said in a sentence."""

from typing import Any

import pytest

from spillway.domain.fit.suitability import claims_of, unsuitable


def _pod(metadata: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {"metadata": metadata or {}, "spec": {"containers": [{"name": "main"}], **spec}}


def _container(**fields: Any) -> list[dict[str, Any]]:
    return [{"name": "main", **fields}]


@pytest.mark.parametrize(
    ("pod", "says"),
    [
        (_pod(hostNetwork=True), "hostNetwork"),
        (_pod(hostPID=True), "hostPID"),
        (_pod(hostIPC=True), "hostIPC"),
        (_pod(nodeName="n1"), "names its node itself (n1)"),
        (_pod(volumes=[{"name": "logs", "hostPath": {"path": "/var/log"}}]), "volume logs is the folder /var/log"),
        (_pod(containers=_container(ports=[{"containerPort": 80, "hostPort": 8080}])), "port 8080"),
        (_pod(initContainers=_container(ports=[{"hostPort": 8080}])), "port 8080"),
        (_pod(containers=_container(securityContext={"privileged": True})), "main is privileged"),
        (_pod(initContainers=_container(securityContext={"privileged": True})), "main is privileged"),
        (_pod(resourceClaims=[{"name": "gpu"}]), "resourceClaims: gpu"),
        (_pod({"ownerReferences": [{"kind": "DaemonSet", "controller": True}]}), "DaemonSet"),
        (_pod({"ownerReferences": [{"kind": "Node", "controller": True}]}), "static pod"),
        (_pod({"annotations": {"kubernetes.io/config.mirror": "x"}}), "static pod"),
        (_pod(volumes=[{"name": "d", "persistentVolumeClaim": {"claimName": "disk"}}]), "claim disk is local"),
    ],
)
def test_what_is_tied_to_its_node_is_recognised(pod: dict[str, Any], says: str) -> None:
    clause = unsuitable(pod, local_claims={"disk"})
    assert clause is not None
    assert says in clause


@pytest.mark.parametrize(
    "pod",
    [
        {},
        _pod(),
        _pod(hostNetwork=False, volumes=None, initContainers=None),
        _pod({"ownerReferences": [{"kind": "ReplicaSet", "controller": True}]}),
        _pod({"ownerReferences": [{"kind": "Node"}]}),
        _pod(containers=_container(ports=[{"containerPort": 80}], securityContext={"privileged": False})),
        _pod(volumes=[{"name": "d", "persistentVolumeClaim": {"claimName": "network-disk"}}]),
        _pod(volumes=[{"name": "d", "emptyDir": {}}, {"name": "c", "configMap": {"name": "c"}}]),
    ],
)
def test_what_runs_anywhere_is_let_be(pod: dict[str, Any]) -> None:
    assert unsuitable(pod, local_claims={"disk"}) is None


def test_claims_are_named_once() -> None:
    volume = {"persistentVolumeClaim": {"claimName": "disk"}}
    assert claims_of(
        _pod(volumes=[{"name": "a", **volume}, {"name": "b", **volume}, {"name": "c", "emptyDir": {}}])
    ) == ("disk",)
