"""What `bench_placement` lays into a cluster: nodes, pools with prices and limits, one policy, workloads. Pure.

Contract: pods tolerate no virtual node of themselves and name no tier; where they go is the scheduler's choice within
what the operator made of them at their creation. They are the demo's: the same requests, the same hard spread over
zones.
"""

from collections.abc import Mapping
from typing import Any, Final

from demo import manifests
from demo.contenders import APP_LABEL, CONTENDER_LABEL, Contender
from demo.scenario import REQUEST_MILLIS
from spillway.domain.model.names import Tier
from tests.bench.placement_pools import GIB, Limits, Pool, Size

Object = dict[str, Any]

NAMESPACE: Final = "bench-day"
POLICY: Final = "bench"
POOL_LABEL: Final = "bench.spillway.dev/pool"
"""On virtual nodes: the VirtualNodeBudget. The observer goes by it."""
CURRENCY: Final = "EUR"
REPLICA: Final = Size(REQUEST_MILLIS, GIB // 4)
"""What a replica of the demo's manifests requests."""
_OURS: Final = {CONTENDER_LABEL: Contender.SPILLWAY.value}


def node_labels(pool: str | None = None) -> dict[str, str]:
    """The labels of an owned node, or of one of a virtual pool."""
    return manifests.node_labels(Contender.SPILLWAY, Tier.FIXED if pool is None else Tier.VIRTUAL) | (
        {} if pool is None else {POOL_LABEL: pool}
    )


def namespace() -> Object:
    """The namespace that the policy selects."""
    return manifests.namespace(Contender.SPILLWAY, NAMESPACE)


def budget(pool: Pool, **spec: Any) -> Object:
    """The VirtualNodeBudget of a pool."""
    price = {
        "currency": CURRENCY,
        "cpuHour": f"{pool.price.cpu:g}",
        "memoryGiBHour": f"{pool.price.memory_gib:g}",
        "minimumSeconds": round(pool.price.minimum_seconds),
    }
    return {
        "apiVersion": "spillway.dev/v1alpha1",
        "kind": "VirtualNodeBudget",
        "metadata": {"name": pool.name},
        "spec": {
            "nodeSelector": {"matchLabels": {POOL_LABEL: pool.name}},
            "price": price,
            "limits": _limits(pool.limits),
            **spec,
        },
    }


def _limits(limits: Limits) -> Object:
    found: Object = {}
    if limits.pods is not None:
        found["pods"] = limits.pods
    if limits.cpu_millis is not None:
        found["cpu"] = f"{limits.cpu_millis}m"
    if limits.memory_bytes is not None:
        found["memory"] = str(limits.memory_bytes)
    if limits.cost_per_hour is not None:
        found["costPerHour"] = f"{limits.cost_per_hour:g}"
    return found


def policy(
    pools: tuple[Pool, ...], workload_class: Mapping[str, Any], fixed: Mapping[str, Any] | None = None
) -> Object:
    """The one policy: these pools in this order, and one class for all workloads."""
    tiers: Object = {"virtual": {"budgets": [pool.name for pool in pools]}}
    if fixed:
        tiers["fixed"] = dict(fixed)
    match = {"namespaces": {"matchLabels": dict(_OURS)}}
    return {
        "apiVersion": "spillway.dev/v1alpha1",
        "kind": "ElasticPolicy",
        "metadata": {"name": POLICY},
        "spec": {
            "mode": "Enforce",
            "tiers": tiers,
            "workloads": [{"name": "default", "match": match, **workload_class}],
        },
    }


def deployment(name: str, replicas: int, *, cpu: str | None = None) -> Object:
    """A workload; `cpu` is another request than the demo's."""
    made = manifests.deployment(Contender.SPILLWAY, NAMESPACE, name, replicas=replicas, overflow=False)
    if cpu is not None:
        made["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] = cpu
    return made


def selector(name: str) -> str:
    """The label selector of a workload's pods."""
    return f"{APP_LABEL}={name}"
