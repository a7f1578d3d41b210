"""A small scene with predictable scale-downs: three tiers of nodes in three zones, filled one after the other.

Contract: a scene has nodes, a namespace and policies of its own and takes them away at its end, so scenes do not see
each other. Each fixed and each elastic node has room for exactly two of its pods; what does not fit there goes to the
virtual nodes.
"""

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from harness.closing import Closing
from localcluster import DEFAULT_WAIT_SECONDS, ClusterApi
from localcluster.nodes import PROVIDER_TAINT, ZONES
from localcluster.rest import Object

GROUP_PATH: Final = "/apis/spillway.dev/v1alpha1"
COST: Final = "controller.kubernetes.io/pod-deletion-cost"
PREFIX: Final = "spillway.dev/"
TAINT: Final = "spillway.dev/elastic"
TIER: Final = "spillway.dev/tier"
CORDONED_BY: Final = "spillway.dev/cordoned-by"

TIERS: Final = ("fixed", "elastic", "virtual")
PODS_PER_NODE: Final = 2
_POD_CPU: Final = "500m"
# Outweighs the score of a large empty node, but not the soft taint of an elastic one.
_RATHER_NOT_VIRTUAL: Final = {
    "preferredDuringSchedulingIgnoredDuringExecution": [
        {
            "weight": 100,
            "preference": {"matchExpressions": [{"key": "type", "operator": "NotIn", "values": ["virtual-kubelet"]}]},
        }
    ]
}


@dataclass(frozen=True)
class PodView:
    """The part of a pod that a scenario reads."""

    uid: str
    name: str
    node: str
    tier: str
    zone: str
    annotations: Mapping[str, str]

    @property
    def cost(self) -> int:
        return int(self.annotations.get(COST, "0"))

    @property
    def marks(self) -> set[str]:
        """Spillway's keys on the pod, including the deletion cost."""
        return {key for key in self.annotations if key.startswith(PREFIX) or key == COST}


class Scene(Closing):
    """One node of each tier in each zone (or `nodes_per_zone`), and a namespace that the scene's policy selects."""

    def __init__(self, cluster: ClusterApi, *, nodes_per_zone: int = 1, virtual_nodes: int = len(ZONES)) -> None:
        self.cluster = cluster
        self.id = f"s-{uuid.uuid4().hex[:6]}"
        self.provider = f"provider-{self.id}"
        self.budget = f"vnb-{self.id}"
        self.policy = f"elp-{self.id}"
        self.namespace = cluster.create_namespace(self.id)
        self._custom: list[tuple[str, str]] = []
        self.nodes: dict[str, list[str]] = {}
        count = nodes_per_zone * len(ZONES)
        labels = {"scene": self.id}
        for tier in ("fixed", "elastic"):
            self.nodes[tier] = cluster.add_nodes(self.pool(tier), count, cpu="1", labels=labels)
        self.nodes["virtual"] = cluster.add_virtual_nodes(
            self.pool("virtual"), virtual_nodes, provider=self.provider, labels=labels
        )

    def close(self) -> None:
        """Delete everything of the scene's, policies first; the namespace's end is not awaited."""
        for plural, name in reversed(self._custom):
            self.cluster.rest.delete(f"{GROUP_PATH}/{plural}/{name}")
        self.cluster.rest.delete(f"/api/v1/namespaces/{self.namespace}")
        self.cluster.delete_nodes([name for names in self.nodes.values() for name in names])

    def pool(self, tier: str) -> str:
        """The value of the label `pool` on nodes of a tier."""
        return f"{tier}-{self.id}"

    # Spillway's resources

    def create(self, plural: str, body: Object) -> None:
        """Create one of Spillway's resources; it is deleted with the scene."""
        self.cluster.rest.create(f"{GROUP_PATH}/{plural}", body)
        self._custom.append((plural, body["metadata"]["name"]))

    def add_budget(self, name: str | None = None, **spec: Any) -> None:  # noqa: ANN401  a spec is any JSON
        """A VirtualNodeBudget over the scene's virtual nodes."""
        selector = {"matchLabels": {"type": "virtual-kubelet", "provider": self.provider}}
        self.create(
            "virtualnodebudgets",
            {
                "apiVersion": "spillway.dev/v1alpha1",
                "kind": "VirtualNodeBudget",
                "metadata": {"name": name or self.budget},
                "spec": {"nodeSelector": selector, **spec},
            },
        )

    def add_policy(self, name: str | None = None, *, mode: str = "Enforce", **spec: Any) -> None:  # noqa: ANN401
        """An ElasticPolicy over the scene's nodes and namespace."""
        match = {"namespaces": {"matchLabels": {"kubernetes.io/metadata.name": self.namespace}}}
        self.create(
            "elasticpolicies",
            {
                "apiVersion": "spillway.dev/v1alpha1",
                "kind": "ElasticPolicy",
                "metadata": {"name": name or self.policy},
                "spec": {
                    "mode": mode,
                    "tiers": {
                        "elastic": {"nodeSelector": {"matchLabels": {"pool": self.pool("elastic")}}},
                        "virtual": {"budgets": [self.budget]},
                    },
                    "workloads": [{"name": "default", "match": match}],
                    **spec,
                },
            },
        )

    def patch(self, plural: str, name: str, spec: Mapping[str, Any]) -> None:
        """Merge-patch the spec of one of Spillway's resources."""
        self.cluster.rest.merge(f"{GROUP_PATH}/{plural}/{name}", {"spec": dict(spec)})

    def delete(self, plural: str, name: str) -> None:
        self.cluster.rest.delete(f"{GROUP_PATH}/{plural}/{name}")

    def condition(self, plural: str, name: str, kind: str = "Ready") -> Object | None:
        """A condition of one of Spillway's resources; None while it is absent."""
        body = self.cluster.rest.get(f"{GROUP_PATH}/{plural}/{name}")
        conditions: list[Object] = (body.get("status") or {}).get("conditions") or []
        return next((condition for condition in conditions if condition["type"] == kind), None)

    # Workloads

    def template(self, name: str) -> Object:
        """The template of pods that spread hard over the zones and tolerate virtual nodes."""
        labels = {"app": name}
        spread = {
            "topologyKey": "topology.kubernetes.io/zone",
            "maxSkew": 1,
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": labels},
            # A rollout spreads each generation by itself.
            "matchLabelKeys": ["pod-template-hash"],
        }
        container = {
            "name": "main",
            "image": "registry.invalid/main:1",
            "resources": {"requests": {"cpu": _POD_CPU, "memory": "16Mi"}},
        }
        return {
            "metadata": {"labels": labels},
            "spec": {
                "nodeSelector": {"scene": self.id},
                "tolerations": [{"key": PROVIDER_TAINT, "operator": "Exists"}],
                "affinity": {"nodeAffinity": _RATHER_NOT_VIRTUAL},
                "topologySpreadConstraints": [spread],
                "terminationGracePeriodSeconds": 1,
                "containers": [container],
            },
        }

    def deploy(self, name: str, replicas: int, **spec: Any) -> None:  # noqa: ANN401
        """A Deployment of pods of the template."""
        self.cluster.rest.create(
            f"/apis/apps/v1/namespaces/{self.namespace}/deployments",
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": name},
                "spec": {
                    "replicas": replicas,
                    "selector": {"matchLabels": {"app": name}},
                    "template": self.template(name),
                    **spec,
                },
            },
        )

    def fill(self, name: str, *, virtual: int = 6) -> list[PodView]:
        """A Deployment that fills all fixed and elastic nodes and has `virtual` more pods on the virtual ones."""
        physical = PODS_PER_NODE * (len(self.nodes["fixed"]) + len(self.nodes["elastic"]))
        self.close_nodes(self.nodes["virtual"])
        self.deploy(name, physical)
        self.wait_ready(name, physical)
        self.open_nodes(self.nodes["virtual"])
        if virtual:
            self.scale(name, physical + virtual)
        return self.wait_ready(name, physical + virtual)

    def scale(self, name: str, replicas: int) -> None:
        """As `kubectl scale deployment` does."""
        path = f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{name}/scale"
        self.cluster.rest.merge(path, {"spec": {"replicas": replicas}})

    def pods(self, name: str) -> list[PodView]:
        """The Deployment's pods that are not being deleted."""
        nodes = {item["metadata"]["name"]: item["metadata"] for item in self.node_objects()}
        return [_view(pod, nodes) for pod in self.cluster.pods(self.namespace, f"app={name}")]

    def wait_enforced(self) -> None:
        """Until the policy has reached the operator: its elastic nodes are tainted."""
        elastic = set(self.nodes["elastic"])
        self.cluster.wait_until(lambda: elastic <= self.tainted(), f"the taints of {self.policy}")

    def wait_stamped(self, name: str) -> list[PodView]:
        """Until each of the Deployment's pods carries the tier of its node and a cost; returns them."""

        def stamped() -> list[PodView]:
            pods = self.pods(name)
            return (
                pods if all(pod.annotations.get(TIER) == pod.tier and COST in pod.annotations for pod in pods) else []
            )

        return self.cluster.wait_until(stamped, f"the marks on the pods of {name}")

    def wait_ready(self, name: str, count: int, *, timeout_seconds: float = DEFAULT_WAIT_SECONDS) -> list[PodView]:
        """Until the Deployment has exactly `count` pods, all ready."""
        self.cluster.wait_pods_ready(self.namespace, count, f"app={name}", timeout_seconds=timeout_seconds)
        return self.pods(name)

    # Nodes

    def node_objects(self, tier: str | None = None) -> list[Object]:
        """The scene's nodes, of one tier if it is named."""
        nodes = self.cluster.rest.items("/api/v1/nodes", labelSelector=f"scene={self.id}")
        return [item for item in nodes if tier is None or item["metadata"]["labels"]["pool"] == self.pool(tier)]

    def tainted(self) -> set[str]:
        """The scene's nodes that carry Spillway's taint."""
        return {
            item["metadata"]["name"]
            for item in self.node_objects()
            if any(taint["key"] == TAINT for taint in item["spec"].get("taints") or [])
        }

    def closed(self) -> set[str]:
        """The scene's nodes that are unschedulable."""
        return {item["metadata"]["name"] for item in self.node_objects() if item["spec"].get("unschedulable")}

    def closed_by_us(self) -> set[str]:
        return {
            item["metadata"]["name"]
            for item in self.node_objects()
            if CORDONED_BY in (item["metadata"].get("annotations") or {})
        }

    def close_nodes(self, names: Iterable[str]) -> None:
        """Cordon nodes as `kubectl cordon` does, that is, not by Spillway."""
        for name in names:
            self.cluster.rest.merge(f"/api/v1/nodes/{name}", {"spec": {"unschedulable": True}})

    def open_nodes(self, names: Iterable[str]) -> None:
        for name in names:
            self.cluster.rest.merge(f"/api/v1/nodes/{name}", {"spec": {"unschedulable": None}})

    def marked_objects(self) -> list[str]:
        """Pods and nodes of the scene that still carry anything of Spillway's."""
        marked = []
        for item in [*self.node_objects(), *self.cluster.pods(self.namespace)]:
            annotations = item["metadata"].get("annotations") or {}
            taints = [taint["key"] for taint in item["spec"].get("taints") or []]
            ours = [key for key in [*annotations, *taints] if key.startswith(PREFIX) or key == COST]
            if ours:
                marked.append(f"{item['metadata']['name']}: {', '.join(ours)}")
        return marked


def by_tier(pods: Iterable[PodView]) -> dict[str, int]:
    """How many pods are in each tier, every tier named."""
    counted = Counter(pod.tier for pod in pods)
    return {tier: counted[tier] for tier in TIERS}


def zone_skew(pods: Iterable[PodView]) -> int:
    """The difference between the fullest and the emptiest of the three zones."""
    counted = Counter(pod.zone for pod in pods)
    sizes = [counted[zone] for zone in ZONES]
    return max(sizes) - min(sizes)


def tier_violations(before: Iterable[PodView], after: Iterable[PodView]) -> list[str]:
    """Pods that were deleted although a pod of a more expensive tier stayed."""
    stayed = {pod.uid for pod in after}
    highest_kept = max((TIERS.index(pod.tier) for pod in after), default=0)
    return [
        f"{pod.name} ({pod.tier}) went while a pod on a {TIERS[highest_kept]} node stayed"
        for pod in before
        if pod.uid not in stayed and TIERS.index(pod.tier) < highest_kept
    ]


def _view(pod: Object, nodes: Mapping[str, Object]) -> PodView:
    node = pod["spec"].get("nodeName", "")
    labels = nodes.get(node, {}).get("labels", {})
    return PodView(
        uid=pod["metadata"]["uid"],
        name=pod["metadata"]["name"],
        node=node,
        tier=labels.get("pool", "").partition("-")[0],
        zone=labels.get("topology.kubernetes.io/zone", ""),
        annotations=pod["metadata"].get("annotations") or {},
    )
