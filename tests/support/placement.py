"""Policies that place pods, and pods as the API server sends them to admission."""

from collections.abc import Mapping, Sequence
from typing import Any

from spillway.api.elasticpolicy import ElasticPolicy
from spillway.api.virtualnodebudget import VirtualNodeBudget
from spillway.domain.model.records import Taint
from spillway.domain.policies.governance import Governance
from tests.support.policies import CREATED

PROVIDER = "virtual-kubelet.io/provider"


def taint_of(pool: str) -> Taint:
    """The taint on the pool's nodes."""
    return Taint(PROVIDER, "NoSchedule", pool)


def labels_of(pool: str) -> dict[str, str]:
    """The labels that the pool's budget selects."""
    return {"type": "virtual-kubelet", "provider": pool}


def placing(
    workload_class: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    pools: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    mode: str = "Enforce",
) -> Governance:
    """The policy `online` with these classes, and a budget for each pool; `{"a": {}}` where none is given."""
    classes = [workload_class] if isinstance(workload_class, Mapping) else list(workload_class)
    pools = {"a": {}} if pools is None else pools
    policy = {
        "metadata": {"name": "online", "uid": "uid-online", "generation": 1, "creationTimestamp": CREATED},
        "spec": {
            "mode": mode,
            "tiers": {"virtual": {"budgets": list(pools)}} if pools else {},
            "workloads": [{"name": f"class-{index}", **one} for index, one in enumerate(classes)],
        },
    }
    budgets = [
        VirtualNodeBudget.model_validate(
            {
                "metadata": {"name": name, "uid": f"uid-{name}", "generation": 1, "creationTimestamp": CREATED},
                "spec": {"nodeSelector": {"matchLabels": labels_of(name)}, **spec},
            }
        )
        for name, spec in pools.items()
    ]
    return Governance.compile([ElasticPolicy.model_validate(policy)], budgets, [])


def manual(replicas: int, **placement: Any) -> dict[str, Any]:
    """A class with a threshold given by hand."""
    threshold = {"threshold": {"mode": "Manual", "replicas": replicas}}
    return threshold | ({"placement": placement} if placement else {})


def incoming(
    *, kind: str = "ReplicaSet", owner: str = "web", uid: str = "rs-web", cpu: str = "500m", **spec: Any
) -> dict[str, Any]:
    """A pod as its controller creates it."""
    reference = {"apiVersion": "apps/v1", "kind": kind, "name": owner, "uid": uid, "controller": True}
    container = {"name": "main", "resources": {"requests": {"cpu": cpu, "memory": "1Gi"}}}
    return {
        "metadata": {"generateName": f"{owner}-", "labels": {"app": owner}, "ownerReferences": [reference]},
        "spec": {"containers": [container], **spec},
    }
