"""A stage on which placement shows: owned nodes with room for everybody, two pools of virtual nodes, a policy a scene.

Contract: the owned nodes are shared by the scenarios of a module; each scenario has a namespace, pools, budgets and a
policy of its own. What is physical and what virtual is read from the nodes on which the pods are, never from our marks.
"""

import json
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from localcluster import ClusterApi
from localcluster.nodes import UNSTARTED
from localcluster.rest import Object, RestError

GROUP_PATH: Final = "/apis/spillway.dev/v1alpha1"
PLACEMENT: Final = "spillway.dev/placement"
_PROBES: Final = 48
"""More than the API server keeps connections to one replica (25): the rest reach the other one as well."""


@dataclass(frozen=True)
class OwnedNodes:
    """The owned nodes of a module's scenarios; its constant `OWNED` says which the fixture `owned` makes."""

    label: str
    count: int
    cpu: str
    pods: int


class Stage:
    """One scenario's workloads, pools `a` and `b`, and policy."""

    def __init__(self, cluster: ClusterApi, owned: str) -> None:
        self.cluster = cluster
        self.id = f"p-{uuid.uuid4().hex[:6]}"
        self.namespace = cluster.create_namespace(self.id)
        self.pools = {name: f"{name}-{self.id}" for name in ("a", "b")}
        self.selects = {"kubernetes.io/metadata.name": self.namespace}
        """The labels of namespaces by which the policy selects this one."""
        self.owned = owned
        self.nodes = [
            name
            for pool in self.pools.values()
            for name in cluster.add_virtual_nodes(pool, 1, provider=pool, labels={"stage": self.owned})
        ]
        self._custom: list[str] = []

    def close(self) -> None:
        """Delete everything of the scenario's, its policy first."""
        for path in reversed(self._custom):
            self.cluster.rest.delete(path)
        self.cluster.rest.delete(f"/api/v1/namespaces/{self.namespace}")
        self.cluster.delete_nodes(self.nodes)

    # Spillway's resources

    def _create(self, plural: str, kind: str, name: str, spec: Mapping[str, Any]) -> None:
        body = {"apiVersion": "spillway.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": dict(spec)}
        self.cluster.rest.create(f"{GROUP_PATH}/{plural}", body)
        self._custom.append(f"{GROUP_PATH}/{plural}/{name}")

    def govern(
        self, *classes: Mapping[str, Any], a: Mapping[str, Any] | None = None, b: Mapping[str, Any] | None = None
    ) -> None:
        """Budgets for both pools and a policy with these classes; returns once every replica goes by it."""
        for name, spec in (("a", a or {}), ("b", b or {})):
            selector = {"matchLabels": {"type": "virtual-kubelet", "provider": self.pools[name]}}
            self._create(
                "virtualnodebudgets", "VirtualNodeBudget", self.pools[name], {"nodeSelector": selector, **spec}
            )
        here = {"namespaces": {"matchLabels": self.selects}}
        named = [
            {"name": f"class-{index}", **one, "match": {**here, **one.get("match", {})}}
            for index, one in enumerate((*classes, {"threshold": {"mode": "Manual", "replicas": 1}}))
        ]
        tiers = {"virtual": {"budgets": list(self.pools.values())}}
        self._create(
            "elasticpolicies", "ElasticPolicy", self.id, {"mode": "Enforce", "tiers": tiers, "workloads": named}
        )
        self.wait_governed()

    def wait_governed(self) -> None:
        """Until pods of a last, catching class are marked, whichever replica is asked."""
        self._wait_probes(f"the policy {self.id} to be known", marked=True)

    def wait_ungoverned(self) -> None:
        """Until no pod is marked, whichever replica is asked."""
        self._wait_probes(f"the policy {self.id} to mark no pod", marked=False)

    def _wait_probes(self, what: str, *, marked: bool) -> None:
        path = f"/api/v1/namespaces/{self.namespace}/pods?dryRun=All"

        def all_are() -> bool:
            # At once: one after the other they would all take the same connection, to the same replica.
            with ThreadPoolExecutor(_PROBES) as pool:
                made = list(pool.map(lambda _: self.cluster.rest.create(path, self._probe()), range(_PROBES)))
            return all((PLACEMENT in (pod["metadata"].get("annotations") or {})) is marked for pod in made)

        self.cluster.wait_until(all_are, what)

    def _probe(self) -> Object:
        # Of a kind that the operator does not look up: there is no such object.
        owner = {"apiVersion": "example.com/v1", "kind": "Probe", "name": "probe", "uid": "probe", "controller": True}
        metadata = {"name": "probe", "labels": {"spillway.dev/class": "probe"}, "ownerReferences": [owner]}
        return {"metadata": metadata, "spec": {"containers": [{"name": "main", "image": "registry.invalid/main:1"}]}}

    def offer(self, resource: str, count: int, nodes: Iterable[str]) -> None:
        """An extended resource on these nodes, so many on each."""
        status = {"capacity": {resource: str(count)}, "allocatable": {resource: str(count)}}
        for name in nodes:
            self.cluster.rest.merge(f"/api/v1/nodes/{name}/status", {"status": status})

    # Workloads

    def template(self, name: str, cpu: str = "100m", *, starts: bool = True, **spec: Any) -> Object:
        """A pod template that may run on the owned nodes and, if it tolerates them, on the pools.

        Pods that do not start by themselves do so once `start` lets them, as when a provider is slow.
        """
        container = {
            "name": "main",
            "image": "registry.invalid/main:1",
            "resources": {"requests": {"cpu": cpu, "memory": "16Mi"}},
        }
        annotations = {} if starts else {"annotations": {UNSTARTED: "true"}}
        return {
            "metadata": {"labels": {"app": name}, **annotations},
            "spec": {
                "nodeSelector": {"stage": self.owned},
                "terminationGracePeriodSeconds": 1,
                "containers": [container],
                **spec,
            },
        }

    def deploy(
        self,
        name: str,
        replicas: int,
        *,
        cpu: str = "100m",
        starts: bool = True,
        annotations: Mapping[str, str] | None = None,
        **spec: Any,
    ) -> None:
        """A Deployment; `spec` goes into its pod template."""
        self.cluster.rest.create(
            f"/apis/apps/v1/namespaces/{self.namespace}/deployments",
            {
                "metadata": {"name": name, "annotations": dict(annotations or {})},
                "spec": {
                    "replicas": replicas,
                    "selector": {"matchLabels": {"app": name}},
                    "template": self.template(name, cpu, starts=starts, **spec),
                },
            },
        )

    def start(self, pods: list[Object]) -> None:
        """Let these pods start."""
        for pod in pods:
            path = f"/api/v1/namespaces/{self.namespace}/pods/{pod['metadata']['name']}"
            self.cluster.rest.merge(path, {"metadata": {"annotations": {UNSTARTED: None}}})

    def run_job(self, name: str, pods: int, *, owner: Mapping[str, Any] | None = None) -> None:
        """A Job of so many pods at once."""
        spec = self.template(name, restartPolicy="Never")
        # kwok finishes a Job's pod a moment after it started, unless it is told to wait.
        self.cluster.rest.create(
            f"/apis/batch/v1/namespaces/{self.namespace}/jobs",
            {
                "metadata": {"name": name, "ownerReferences": [dict(owner)] if owner else []},
                "spec": {"parallelism": pods, "completions": pods, "template": spec},
            },
        )

    def scale(self, name: str, replicas: int) -> None:
        """As `kubectl scale deployment` does."""
        path = f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{name}/scale"
        self.cluster.rest.merge(path, {"spec": {"replicas": replicas}})

    def roll_out(self, name: str, version: str) -> None:
        """Another generation of a Deployment's pods."""
        path = f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{name}"
        template = {"metadata": {"annotations": {"version": version}}}
        self.cluster.rest.merge(path, {"spec": {"template": template}})

    # Looking

    def pods(self, name: str) -> list[Object]:
        """The workload's pods that are not being deleted."""
        return self.cluster.pods(self.namespace, f"app={name}")

    def wait_bound(self, name: str, count: int) -> list[Object]:
        """Until the workload has exactly so many pods and each is on a node."""
        found: list[Object] = []

        def bound() -> bool:
            found[:] = self.pods(name)
            return len(found) == count and all(pod["spec"].get("nodeName") for pod in found)

        self.cluster.wait_until(bound, f"{count} pods of {name} on nodes")
        return found

    def tiers(self, pods: list[Object]) -> dict[str, int]:
        """How many of these pods are physical, and how many virtual; none is left out."""
        places = (self.place(pod["spec"]["nodeName"]) for pod in pods)
        return dict(Counter("physical" if place == "physical" else "virtual" for place in places))

    def summary(self) -> str:
        """The pods with their places, and the annotations that say what was decided of each; a line each."""
        try:
            pods = self.cluster.rest.items(f"/api/v1/namespaces/{self.namespace}/pods")
        except (RestError, OSError) as error:
            return str(error)
        return "\n".join(
            f"{pod['metadata']['name']} on {pod['spec'].get('nodeName')}: {pod['metadata'].get('annotations')}"
            for pod in pods
        )

    def pool_status(self, pool: str = "a") -> Object:
        """The status of the VirtualNodeBudget of a pool."""
        found: Object = self.cluster.rest.get(f"{GROUP_PATH}/virtualnodebudgets/{self.pools[pool]}")
        return dict(found.get("status") or {})

    def pool_conditions(self, pool: str = "a") -> dict[str, tuple[str, str]]:
        """The status and the reason of each of its conditions."""
        return {one["type"]: (one["status"], one["reason"]) for one in self.pool_status(pool).get("conditions") or []}

    def where(self, pods: list[Object]) -> dict[str, int]:
        """How many of these pods are on physical nodes, and how many on each pool."""
        return dict(Counter(self.place(pod["spec"]["nodeName"]) for pod in pods))

    def undecided(self, pods: list[Object]) -> int:
        """How many of these pods were created as their users wrote them, because no one answered for them in time.

        On a machine that stands still for a second there are some, whatever the operator does. More than a fifth is no
        hiccup.
        """
        count = sum(PLACEMENT not in (pod["metadata"].get("annotations") or {}) for pod in pods)
        assert count <= len(pods) / 5, f"{count} of {len(pods)} pods undecided"
        return count

    def assert_split(self, pods: list[Object], *, physical: int) -> None:
        """So many are physical and all others virtual, to the pod; what is undecided may be one more or one less each.

        An undecided pod is physical; if its answer was only late, its place may still be promised to no one.
        """
        tiers = self.tiers(pods)
        assert abs(tiers.get("physical", 0) - physical) <= self.undecided(pods), tiers

    def place(self, node: str) -> str:
        """`physical`, or the pool of a node."""
        return next((name for name, pool in self.pools.items() if node.startswith(pool)), "physical")

    def events(self, reason: str) -> list[tuple[str, str]]:
        """(object, note) of the Events with this reason."""
        items = self.cluster.rest.items(f"/apis/events.k8s.io/v1/namespaces/{self.namespace}/events")
        return [
            (f"{item['regarding']['kind']}/{item['regarding']['name']}", item["note"])
            for item in items
            if item["reason"] == reason
        ]


def writes_to_pods(audit_log: Path, namespace: str) -> list[tuple[str, str, str]]:
    """What was written to a namespace's pods, in order: ("bound", pod, node), and ("gone", pod, "") at its last end.

    The server renames its log when that has grown large.
    """
    entries = []
    for path in audit_log.parent.glob(f"{audit_log.stem}*{audit_log.suffix}"):
        with path.open() as lines:
            candidates = (json.loads(line) for line in lines if namespace in line)
            entries += [entry for entry in candidates if _is_about(entry, namespace) and _accepted(entry)]
    entries.sort(key=lambda entry: entry["requestReceivedTimestamp"])
    last = {entry["objectRef"]["name"]: entry for entry in entries if entry["verb"] == "delete"}
    written = []
    for entry in entries:
        name = entry["objectRef"].get("name", "")
        if entry["objectRef"].get("subresource") == "binding":
            written.append(("bound", name, entry["requestObject"]["target"]["name"]))
        elif last.get(name) is entry:
            written.append(("gone", name, ""))
    return written


def _is_about(entry: Mapping[str, Any], namespace: str) -> bool:
    reference = entry.get("objectRef") or {}
    return reference.get("resource") == "pods" and reference.get("namespace") == namespace


def _accepted(entry: Mapping[str, Any]) -> bool:
    return entry["stage"] == "ResponseComplete" and int((entry.get("responseStatus") or {}).get("code", 500)) < 300
