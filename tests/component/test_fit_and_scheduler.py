"""Whether a pool's nodes take a pod: Spillway's answer and the real scheduler's, for random pods one after another."""

import random
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pytest

from localcluster import ClusterApi
from localcluster.rest import Object
from spillway.domain.fit.node_fit import NodeFit
from spillway.domain.fit.suitability import claims_of, unsuitable
from spillway.domain.fit.volume_reach import of_volume
from spillway.domain.model.names import OwnerUid
from spillway.domain.model.usage import Usage
from spillway.domain.pools.resize import requests_of
from spillway.kube.decode import NAMESPACES, NODES, PODS
from spillway.state.board import Board
from spillway.state.open_pools import OpenPools, PodToFit
from spillway.state.pool_membership import PoolMembership
from spillway.state.reservations import Reservations
from spillway.state.usage import LiveUsage
from tests.builders import make_state
from tests.support.placement import labels_of, manual, placing

GOVERNANCE = placing(manual(0))
"""One budget, `a`, of the nodes that `labels_of("a")` selects."""
PODS_EACH = 40
HOST, ZONE, RACK = "kubernetes.io/hostname", "topology.kubernetes.io/zone", "rack"
GPU, STORAGE = "example.com/gpu", "ephemeral-storage"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_pod_that_fits_is_scheduled_and_one_that_does_not_waits(
    cluster: ClusterApi, namespace: str, seed: int
) -> None:
    chance = random.Random(seed)
    _wait_alone(cluster)
    names = _nodes(cluster, chance)
    volumes = _volumes(cluster, namespace, names)
    try:
        wrong = list(_disagreements(cluster, namespace, chance))
    finally:
        cluster.delete_nodes(names)
        cluster.delete(volumes, "--wait=false")
    assert not wrong, "\n\n".join(wrong)


def _wait_alone(cluster: ClusterApi) -> None:
    """Until no pod of an earlier test is on a node: to the scheduler it may be one that a pod asks to be near to."""

    def alone() -> bool:
        nodes = {node["metadata"]["name"] for node in cluster.rest.items("/api/v1/nodes")}
        return not [pod for pod in cluster.rest.items("/api/v1/pods") if pod["spec"].get("nodeName") in nodes]

    cluster.wait_until(alone, "the pods of earlier tests to be gone")


def _disagreements(cluster: ClusterApi, namespace: str, chance: random.Random) -> Iterator[str]:
    taken = 0
    for number in range(PODS_EACH):
        pod = _pod(chance, namespace, f"pod-{number}")
        clause = _refusal(cluster, namespace, pod)
        cluster.rest.create(f"/api/v1/namespaces/{namespace}/pods", _on_the_pool(pod))
        scheduled = _is_scheduled(cluster, namespace, pod["metadata"]["name"])
        taken += scheduled
        if scheduled == bool(clause):
            yield f"{'scheduled' if scheduled else 'not scheduled'}, and Spillway says {clause!r}: {pod}"
        if not scheduled or chance.random() < 0.2:
            cluster.rest.delete(f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}?gracePeriodSeconds=0")
    assert 5 < taken < PODS_EACH - 5, "both answers are tried"


def _refusal(cluster: ClusterApi, namespace: str, pod: Object) -> str:
    """As admission answers, from what the API server has now."""
    state = make_state()
    state.apply(NAMESPACES.one(cluster.rest.raw("GET", f"/api/v1/namespaces/{namespace}")))
    for decoder, path in ((NODES, "/api/v1/nodes"), (PODS, f"/api/v1/namespaces/{namespace}/pods")):
        for item in cluster.rest.items(path):
            state.apply(decoder.one(msgspec.json.encode(item)))
    usage = LiveUsage(state, PoolMembership(state, lambda: GOVERNANCE), Reservations(lambda: 0.0))
    pools = OpenPools(usage, Board(lambda: 0.0), lambda: GOVERNANCE)
    pool = pools.pool("a")
    asked = requests_of(pod)
    used = Usage(1, asked.cpu_millis, asked.memory_bytes)
    volumes = [
        of_volume(claim, cluster.rest.get(f"/api/v1/persistentvolumes/{namespace}-{claim}")) for claim in claims_of(pod)
    ]
    # Spillway keeps pods that take a port of their node physical, whatever the scheduler says.
    tied = unsuitable(pod, [one.claim for one in volumes if one.local])
    assert tied is None or "(hostPort)" in tied
    return (
        NodeFit(pod["spec"], pool.tolerations).refusal_by_all(pool.open_nodes)
        or pools.refusal_by_limits(pool, used, used)
        or pools.refusal_by_nodes(PodToFit(pod, namespace, OwnerUid(""), used, volumes), pool)
    )


def _on_the_pool(pod: Object) -> Object:
    """With the toleration and the selector that keep it on the pool."""
    spec = pod["spec"]
    provider = {"key": "virtual-kubelet.io/provider", "operator": "Exists"}
    return {
        **pod,
        "spec": {
            **spec,
            "tolerations": [*spec.get("tolerations", ()), provider],
            "nodeSelector": {**spec.get("nodeSelector", {}), **labels_of("a")},
        },
    }


def _is_scheduled(cluster: ClusterApi, namespace: str, name: str) -> bool:
    def answered() -> str:
        found = cluster.rest.get(f"/api/v1/namespaces/{namespace}/pods/{name}")
        if found["spec"].get("nodeName"):
            return "yes"
        reasons = [
            one.get("reason") for one in found["status"].get("conditions") or () if one["type"] == "PodScheduled"
        ]
        return "no" if "Unschedulable" in reasons else ""

    return cluster.wait_until(answered, f"the scheduler's answer on {name}") == "yes"


def _nodes(cluster: ClusterApi, chance: random.Random) -> list[str]:
    """Six virtual nodes, of which some lack a rack, take no pods, or have a taint, a device or local storage."""
    names = cluster.add_virtual_nodes("fit", 6, provider="a", cpu="6", memory="16Gi", pods=8)
    for index, name in enumerate(names):
        zone, path = "ab"[index % 2], f"/api/v1/nodes/{name}"
        rack = {} if index == 5 else {RACK: f"r{index % 3}"}
        cluster.rest.merge(path, {"metadata": {"labels": {ZONE: zone, **rack}}})
        if index == 4 and chance.random() < 0.6:
            cluster.rest.merge(path, {"spec": {"unschedulable": True}})
        if index == 3 and chance.random() < 0.6:
            taint = {"key": "karpenter.sh/disrupted", "effect": "NoSchedule"}
            provider = {"key": "virtual-kubelet.io/provider", "value": "a", "effect": "NoSchedule"}
            cluster.rest.merge(path, {"spec": {"taints": [provider, taint]}})
        if index == 0:
            gpus = {"capacity": {GPU: "3"}, "allocatable": {GPU: "3"}}
            cluster.rest.merge(f"{path}/status", {"status": gpus})
        if index in {1, 2}:
            storage = {"capacity": {STORAGE: "10Gi"}, "allocatable": {STORAGE: "10Gi"}}
            cluster.rest.merge(f"{path}/status", {"status": storage})
    return names


VOLUMES: Mapping[str, list[Object]] = {
    "anywhere": [],
    "zone-a": [{"matchExpressions": [{"key": ZONE, "operator": "In", "values": ["a"]}]}],
    "zone-z": [{"matchExpressions": [{"key": ZONE, "operator": "In", "values": ["z"]}]}],
    "racks": [
        {"matchExpressions": [{"key": RACK, "operator": "In", "values": ["r0"]}]},
        {"matchExpressions": [{"key": RACK, "operator": "NotIn", "values": ["r0", "r1"]}]},
    ],
    "no-rack": [{"matchExpressions": [{"key": RACK, "operator": "DoesNotExist"}]}],
}
"""The claims, each with the node selector terms of its volume."""


def _volumes(cluster: ClusterApi, namespace: str, nodes: list[str]) -> list[Object]:
    """A bound claim for each entry of `VOLUMES`, and one for a single node; the volumes."""
    one_node = [{"matchExpressions": [{"key": HOST, "operator": "In", "values": [nodes[1]]}]}]
    modes, capacity = ["ReadWriteMany"], {"storage": "1Gi"}
    volumes: list[Object] = []
    claims: list[Object] = []
    for claim, terms in {**VOLUMES, "one-node": one_node}.items():
        meta = {"name": f"{namespace}-{claim}"}
        affinity = {"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}} if terms else {}
        bound = {"claimRef": {"namespace": namespace, "name": claim}, "persistentVolumeReclaimPolicy": "Retain"}
        source = {"nfs": {"server": "nfs.example.com", "path": "/"}, "storageClassName": ""}
        spec = {"accessModes": modes, "capacity": capacity, **bound, **source, **affinity}
        volumes.append({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": meta, "spec": spec})
        wanted = {"accessModes": modes, "resources": {"requests": capacity}, "storageClassName": ""}
        claims.append(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": claim, "namespace": namespace},
                "spec": {**wanted, "volumeName": meta["name"]},
            }
        )
    cluster.apply([*volumes, *claims])
    path = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims"

    def all_bound() -> bool:
        return all(one["status"].get("phase") == "Bound" for one in cluster.rest.items(path))

    cluster.wait_until(all_bound, "the claims to be bound")
    return volumes


def _pod(chance: random.Random, namespace: str, name: str) -> Object:
    labels = _labels(chance)
    requests = {"cpu": chance.choice(["100m", "500m", "1", "3"]), "memory": chance.choice(["128Mi", "1Gi"])}
    if chance.random() < 0.15:
        requests[GPU] = chance.choice(["1", "1", "2", "99"])
    if chance.random() < 0.15:
        requests[STORAGE] = chance.choice(["3Gi", "4Gi", "20Gi"])
    container: Object = {"name": "main", "image": "main", "resources": {"requests": requests, "limits": {}}}
    if GPU in requests:
        container["resources"]["limits"] = {GPU: requests[GPU]}
    spec: Object = _with_host_ports({"containers": [container]}, chance)
    affinity: Object = {}
    if chance.random() < 0.35:
        affinity["podAntiAffinity"] = _required(chance)
    if chance.random() < 0.2:
        affinity["podAffinity"] = _required(chance)
    if affinity:
        spec["affinity"] = affinity
    if chance.random() < 0.4:
        keys = chance.sample([HOST, ZONE, RACK], chance.choice([1, 1, 2]))
        spec["topologySpreadConstraints"] = [_spread(chance, key) for key in keys]
    if chance.random() < 0.15:
        spec["nodeSelector"] = {ZONE: chance.choice("abc")}
    if chance.random() < 0.2:
        spec["tolerations"] = [{"key": "karpenter.sh/disrupted", "operator": "Exists"}]
    spec["volumes"] = _some_volumes(chance)
    meta = {"name": name, "namespace": namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def _with_host_ports(spec: Object, chance: random.Random) -> Object:
    if chance.random() < 0.25:
        spec["containers"][0]["ports"] = [_host_port(chance)]
    if chance.random() < 0.1:
        always = {"restartPolicy": "Always"} if chance.random() < 0.5 else {}
        spec["initContainers"] = [{"name": "init", "image": "init", "ports": [_host_port(chance)], **always}]
    return spec


def _host_port(chance: random.Random) -> Mapping[str, Any]:
    """One of few ports, so that some are taken on every node; the scheduler compares addresses and protocols too."""
    address = chance.choice([{}, {}, {"hostIP": "10.0.0.1"}, {"hostIP": "10.0.0.2"}])
    protocol = chance.choice([{}, {"protocol": "TCP"}, {"protocol": "UDP"}])
    return {"containerPort": 80, "hostPort": chance.choice([8080, 9090]), **address, **protocol}


def _some_volumes(chance: random.Random) -> list[Object]:
    claims = chance.sample([*VOLUMES, "one-node"], chance.choice([0, 0, 0, 0, 0, 1, 1, 2]))
    return [{"name": claim, "persistentVolumeClaim": {"claimName": claim}} for claim in claims]


def _labels(chance: random.Random) -> dict[str, str]:
    tier = {"tier": "x"} if chance.random() < 0.3 else {}
    version = {"version": chance.choice("12")} if chance.random() < 0.6 else {}
    return {"app": chance.choice("abc"), **tier, **version}


def _required(chance: random.Random) -> Mapping[str, Any]:
    term: Object = {"topologyKey": chance.choice([HOST, ZONE, RACK]), "labelSelector": _selector(chance)}
    if chance.random() < 0.3:
        # The API server takes no key that the selector names as well.
        term["labelSelector"] = {"matchExpressions": [{"key": "tier", "operator": chance.choice(["Exists", "NotIn"])}]}
        if term["labelSelector"]["matchExpressions"][0]["operator"] == "NotIn":
            term["labelSelector"]["matchExpressions"][0]["values"] = ["y"]
        keys = chance.sample(["app", "version", "absent"], 2)
        term["matchLabelKeys"], term["mismatchLabelKeys"] = keys[:1], keys[1:]
    if chance.random() < 0.2:
        term["namespaceSelector"] = chance.choice([{}, {"matchLabels": {"not": "there"}}])
    return {"requiredDuringSchedulingIgnoredDuringExecution": [term]}


def _spread(chance: random.Random, key: str) -> Mapping[str, Any]:
    constraint: Object = {
        "topologyKey": key,
        "maxSkew": chance.choice([1, 1, 2]),
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": _selector(chance),
    }
    if chance.random() < 0.3:
        constraint["matchLabelKeys"] = [chance.choice(["version", "absent"])]
    if chance.random() < 0.4:
        constraint["minDomains"] = chance.choice([1, 2, 3, 5])
    if chance.random() < 0.3:
        constraint["nodeTaintsPolicy"] = "Honor"
    if chance.random() < 0.3:
        constraint["nodeAffinityPolicy"] = chance.choice(["Honor", "Ignore"])
    return constraint


def _selector(chance: random.Random) -> Mapping[str, Any]:
    match chance.randrange(4):
        case 0:
            return {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["a"]}]}
        case 1:
            return {"matchExpressions": [{"key": "tier", "operator": "Exists"}]}
        case _:
            return {"matchLabels": {"app": chance.choice("abc")}}
