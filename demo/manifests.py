"""The objects of a contender in the cluster: namespace, nodes, workloads with their HPAs, policies. Pure functions.

Contract: contenders get the same objects but for names and labels. What makes *flat* flat is one admission policy
(`flat_policies`) and a soft taint in its Karpenter pool; what makes *spillway* Spillway are its custom resources.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from demo.contenders import APP_LABEL, CONTENDER_LABEL, TIER_LABEL, Contender
from demo.scenario import REQUEST_MILLIS, TARGET_UTILIZATION, Workload
from localcluster import nodes
from spillway.domain.model.names import ELASTIC_TAINT, POD_DELETION_COST, THRESHOLD, ZONE_LABEL, Tier

Object = dict[str, Any]

ZONES: Final = nodes.ZONES
PROVIDER: Final = "demo"

FIXED_NODES: Final = 6
FIXED_CPU: Final = "12"
"""Cores of a fixed node: 72 replicas on all six, about what the valley needs."""

ELASTIC_CPU: Final = 8
CONSOLIDATE_AFTER_SECONDS: Final = 5
"""Karpenter takes an elastic node away once it was empty that long; it looks every 10 s and waits 15 s to be sure."""

REQUEST_MEMORY_MIB: Final = 256
VIRTUAL_PRICE: Final = {"currency": "EUR", "cpuHour": "0.05", "memoryGiBHour": "0.006"}
"""Of a pod on virtual nodes, as its VirtualNodeBudget has it."""

SCALE_DOWN_WINDOW_SECONDS: Final = 15
SPILL_AFTER_SECONDS: Final = 30
"""Longer than Karpenter takes to add a node."""
POLICIES: Final = {Contender.SPILLWAY: "demo", Contender.SPILLWAY_MOVES: "demo-moves"}
"""The names of Spillway's policies, and of their budgets of virtual nodes."""
CONSOLIDATION: Final = {
    "mode": "Active",
    "below": 70,
    "maxMovesPerMinute": 300,
    "settle": "1s",
    "nodeSettle": "10s",
    "emptyFor": "20s",
}
"""The defaults at the pace of the day, in which an hour takes less than a minute."""
SOFT_TAINTS: Final[dict[Contender, dict[str, str]]] = {
    Contender.FLAT: {"key": "demo.spillway.dev/elastic", "value": "flat", "effect": "PreferNoSchedule"},
    **{
        contender: {"key": ELASTIC_TAINT, "value": policy, "effect": "PreferNoSchedule"}
        for contender, policy in POLICIES.items()
    },
}
"""Of elastic nodes. Spillway taints nodes by itself; the Karpenter pool names the taint too, because Karpenter takes a
soft taint that no pool declares for a hard one and adds a node where a pod would have fitted on one that stands."""

# Virtual nodes are the last resort of all contenders: scored behind elastic nodes, which carry one soft taint.
_LAST_RESORT: Final = [{"key": f"demo.spillway.dev/last-resort-{n}", "effect": "PreferNoSchedule"} for n in (1, 2)]


def node_labels(contender: Contender, tier: Tier) -> dict[str, str]:
    """The labels of this contender's nodes of that tier."""
    return {CONTENDER_LABEL: contender.value, TIER_LABEL: tier.value}


def elastic_taints(contender: Contender) -> list[dict[str, str]]:
    """The soft taint of this contender's elastic nodes, if it has one."""
    return [dict(SOFT_TAINTS[contender])] if contender in SOFT_TAINTS else []


def virtual_soft_taints() -> list[dict[str, str]]:
    """The taints that make the scheduler prefer any other node to a virtual one."""
    return [dict(taint) for taint in _LAST_RESORT]


def namespace(contender: Contender, name: str) -> Object:
    """A namespace that belongs to the contender."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {CONTENDER_LABEL: contender.value}},
    }


def deployment(
    contender: Contender,
    namespace_name: str,
    name: str,
    *,
    replicas: int,
    overflow: bool,
    node_selector: Mapping[str, str] | None = None,
    threshold: int | None = None,
) -> Object:
    """A Deployment whose replicas stay on the contender's nodes and spread over zones when they are scheduled.

    `node_selector` narrows the nodes further. With a `threshold` the operator places the replicas: the manifest says
    how many are to be physical, and tolerates nothing itself.
    """
    annotations = {} if threshold is None else {"annotations": {THRESHOLD: str(threshold)}}
    labels = {APP_LABEL: name, CONTENDER_LABEL: contender.value}
    spread = {
        "maxSkew": 1,
        "topologyKey": ZONE_LABEL,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {APP_LABEL: name}},
    }
    requests = {"cpu": f"{REQUEST_MILLIS}m", "memory": f"{REQUEST_MEMORY_MIB}Mi"}
    # A new replica uses next to no CPU until the load driver gives it a share: the other replicas have that share until
    # then, so the sum that an HPA reads is the load of the workload. metrics-server leaves out a pod that uses nothing.
    usage = {nodes.USAGE_CPU: "1m", nodes.USAGE_MEMORY: "200Mi"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace_name, "labels": labels, **annotations},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {APP_LABEL: name}},
            "template": {
                "metadata": {"labels": labels, "annotations": usage},
                "spec": {
                    "nodeSelector": {CONTENDER_LABEL: contender.value, **(node_selector or {})},
                    "tolerations": [nodes.toleration(PROVIDER)] if overflow and threshold is None else [],
                    "topologySpreadConstraints": [spread],
                    "containers": [
                        {
                            "name": "app",
                            "image": "registry.k8s.io/pause:3.10",
                            "resources": {"requests": requests},
                        }
                    ],
                },
            },
        },
    }


def autoscaler(namespace_name: str, workload: Workload, *, metrics: Sequence[Object] = ()) -> Object:
    """The HPA of one of the day's workloads; it goes by CPU and by `metrics`."""
    made = autoscaler_object(
        namespace_name, workload.name, minimum=workload.min_replicas, maximum=workload.max_replicas
    )
    made["spec"]["metrics"].extend(metrics)
    return made


def autoscaler_object(namespace_name: str, name: str, *, minimum: int, maximum: int) -> Object:
    """An HPA on CPU: up at once, down after a short window, as much at once as it asks for."""
    at_once = [{"type": "Percent", "value": 100, "periodSeconds": 2}]
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": namespace_name},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": minimum,
            "maxReplicas": maximum,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {
                        "name": "cpu",
                        "target": {"type": "Utilization", "averageUtilization": TARGET_UTILIZATION},
                    },
                }
            ],
            "behavior": {
                "scaleUp": {"stabilizationWindowSeconds": 0},
                "scaleDown": {"stabilizationWindowSeconds": SCALE_DOWN_WINDOW_SECONDS, "policies": at_once},
            },
        },
    }


def flat_policies() -> list[Object]:
    """What gives *flat* its costs: the API server itself writes -1 in the Binding's write, and no process runs.

    The name of a node tells its pool: those of Karpenter contain the NodePool's name.
    """
    flat = Contender.FLAT
    cheap = [f"object.target.name.contains('{flat.pool(tier)}')" for tier in (Tier.ELASTIC, Tier.VIRTUAL)]
    name = "demo-flat-deletion-cost"
    return [
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Fail",
                "reinvocationPolicy": "Never",
                "matchConstraints": {
                    "namespaceSelector": {"matchLabels": {CONTENDER_LABEL: flat.value}},
                    "resourceRules": [
                        {
                            "apiGroups": [""],
                            "apiVersions": ["v1"],
                            "resources": ["pods/binding"],
                            "operations": ["CREATE"],
                        }
                    ],
                },
                "matchConditions": [{"name": "not-on-a-fixed-node", "expression": " || ".join(cheap)}],
                "mutations": [
                    {
                        "patchType": "ApplyConfiguration",
                        "applyConfiguration": {
                            "expression": "Object{metadata: Object.metadata{annotations: "
                            f'{{"{POD_DELETION_COST}": "-1"}}}}}}'
                        },
                    }
                ],
            },
        },
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {"policyName": name},
        },
    ]


def spillway_resources(
    contender: Contender = Contender.SPILLWAY,
    *,
    placement: bool = False,
    moves: bool = False,
    scaling: Object | None = None,
    headroom: Object | None = None,
) -> list[Object]:
    """Spillway's custom resources: they select this contender's nodes and namespaces and nothing else.

    With `placement` the operator decides who goes to virtual nodes; without it that is the scheduler's choice. With
    `moves` it empties elastic nodes that are little used. `scaling` and `headroom` are the fields of that name.
    """
    ours = {"matchLabels": {CONTENDER_LABEL: contender.value}}
    name = POLICIES[contender]
    workload_class: Object = {"name": "default", "match": {"namespaces": ours}}
    if placement:
        workload_class["placement"] = {"virtual": "Overflow", "spillAfter": f"{SPILL_AFTER_SECONDS}s"}
    if scaling is not None:
        workload_class["scaling"] = scaling
    return [
        {
            "apiVersion": "spillway.dev/v1alpha1",
            "kind": "VirtualNodeBudget",
            "metadata": {"name": name},
            "spec": {
                "nodeSelector": {"matchLabels": node_labels(contender, Tier.VIRTUAL)},
                "price": dict(VIRTUAL_PRICE),
            },
        },
        {
            "apiVersion": "spillway.dev/v1alpha1",
            "kind": "ElasticPolicy",
            "metadata": {"name": name},
            "spec": {
                "mode": "Enforce",
                "tiers": {
                    "elastic": {
                        "nodeSelector": {"matchLabels": node_labels(contender, Tier.ELASTIC)},
                        "softTaint": True,
                    },
                    "virtual": {"budgets": [name]},
                },
                "workloads": [workload_class],
                **({"consolidation": dict(CONSOLIDATION)} if moves else {}),
                **({"headroom": headroom} if headroom is not None else {}),
            },
        },
    ]
