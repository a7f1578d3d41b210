"""The cluster of `bench_admission`: etcd, an API server, and thousands of nodes and pods that no controller touches.

Contract: no scheduler and no controllers run, because on two cores they would be what is measured. The pods carry the
deletion costs that Spillway would have given them, so that the operator finds nothing to repair.
"""

import asyncio
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from localcluster import ClusterApi, core
from localcluster.binaries import find
from localcluster.layout import LOOPBACK, Layout
from localcluster.nodes import ZONES
from localcluster.options import Options
from localcluster.processes import Processes
from localcluster.rest import Rest
from spillway.domain.model.names import Tier, Zone
from spillway.domain.model.places import NodePlace
from spillway.domain.scale_down.costs import initial_cost
from tests.bench import informer_objects
from tests.bench.etcd_gateway import EtcdGateway
from tests.bench.informer_objects import Shape

POOL: Final = "far"
VIRTUAL_NODES: Final = 9
NEW_BELOW_THRESHOLD: Final = 2
"""Of the pods that the bench creates of each ReplicaSet, the first ones that are still physical."""
REPLICAS_ASKED: Final = 100
"""A ReplicaSet's controller creates pods only while it has fewer; otherwise admission would wait for the informer."""
_LABEL: Final = "pool"
_READY: Final = {
    "type": "Ready",
    "status": "True",
    "reason": "Bench",
    "lastTransitionTime": "2026-01-05T08:00:00Z",
}
_START_SECONDS: Final = 120.0


@dataclass(frozen=True)
class AdmissionCluster:
    """A cluster that stands: its API, its processes by name, and its virtual nodes."""

    api: ClusterApi
    processes: Processes
    virtual_nodes: list[str]


def start(stack: ExitStack, shape: Shape) -> AdmissionCluster:
    """Start the cluster; it dies with the stack."""
    root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-admission-")))
    layout = Layout(root)
    processes = Processes(layout.logs)
    stack.callback(processes.close)
    processes.start(core.etcd(layout, find))
    asyncio.run(_seed(f"http://{LOOPBACK}:{layout.ports.etcd}", shape))
    # Nothing creates ServiceAccounts here, and the audit log would only take time.
    options = Options(audit=False, api_server_args=("--disable-admission-plugins=ServiceAccount",))
    processes.start(core.api_server(layout, options, find))
    rest = Rest(layout.kubeconfig)
    paths = ("/readyz", "/api/v1/pods?limit=1&resourceVersion=0")
    _wait(lambda: all(map(rest.answers, paths)), "API server")
    rest.close()
    api = ClusterApi(layout.kubeconfig, features=options.features, kubectl=find("kubectl"))
    nodes = api.add_virtual_nodes(POOL, VIRTUAL_NODES, zones=ZONES, labels={_LABEL: POOL}, wait=False)
    for node in nodes:
        path = f"/api/v1/nodes/{node}"
        api.rest.merge(f"{path}/status", {"status": {"conditions": [_READY]}})
        # The API server taints each new node as not ready; the controller that takes that off does not run here.
        taints = [one for one in api.rest.get(path)["spec"]["taints"] if one["key"] != "node.kubernetes.io/not-ready"]
        api.rest.merge(path, {"spec": {"taints": taints}})
    return AdmissionCluster(api, processes, nodes)


def resources(shape: Shape) -> list[dict[str, Any]]:
    """A pool with limits that are checked for each pod and never reached, and a policy that governs everything."""
    limits = {"pods": 100_000, "cpu": "100000", "memory": "400Ti", "costPerHour": "100000", "costPerMonth": "90000000"}
    budget = {
        "apiVersion": "spillway.dev/v1alpha1",
        "kind": "VirtualNodeBudget",
        "metadata": {"name": POOL},
        "spec": {
            "nodeSelector": {"matchLabels": {_LABEL: POOL}},
            "limits": limits,
            "price": {"currency": "EUR", "cpuHour": "0.25", "memoryGiBHour": "0.03", "minimumSeconds": 60},
            # Nothing starts a pod here: the pool would fail for it.
            "failover": {"unhealthyAfter": "2h", "startAfter": "2h"},
            "podOverlay": {"labels": {"bench": "placement"}, "env": [{"name": "TIER", "fromLanding": "tier"}]},
        },
    }
    threshold = {"mode": "Manual", "replicas": shape.pods_per_replicaset + NEW_BELOW_THRESHOLD}
    policy = {
        "apiVersion": "spillway.dev/v1alpha1",
        "kind": "ElasticPolicy",
        "metadata": {"name": "day"},
        "spec": {
            "mode": "Enforce",
            "tiers": {
                "elastic": {"nodeSelector": {"matchLabels": {_LABEL: "elastic"}}, "softTaint": True},
                "virtual": {"budgets": [POOL]},
            },
            "workloads": [
                {"name": "all", "threshold": threshold, "placement": {"virtual": "Overflow", "spillAfter": "2h"}}
            ],
        },
    }
    return [budget, policy]


def _wait(check: Callable[[], bool], what: str) -> None:
    """Wait until this holds; end the bench where it does not in time."""
    deadline = time.monotonic() + _START_SECONDS
    while not check():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {_START_SECONDS:g} s without success for: {what}")
        time.sleep(0.2)


async def _seed(etcd: str, shape: Shape) -> None:
    async with EtcdGateway(etcd) as gateway:
        await gateway.wait(_START_SECONDS)
        await gateway.put_all(_objects(shape))


def _objects(shape: Shape) -> Iterator[tuple[str, bytes]]:
    """As `informer_objects`, with initial deletion costs: a scale-down then finds the order that it plans."""
    costs = _initial_costs(shape)
    for key, value in informer_objects.objects(shape):
        if not key.startswith("/registry/pods/"):
            yield key, value
    for index, cost in enumerate(costs):
        yield informer_objects.pod_key(shape, index), informer_objects.pod_value(shape, index, cost)


def _initial_costs(shape: Shape) -> list[int]:
    counts: dict[tuple[int, str, bool], int] = defaultdict(int)
    elastic_rank = {node: rank for rank, node in enumerate(range(0, shape.nodes, 5))}
    costs = []
    for index in range(shape.pods):
        node, zone, elastic = informer_objects.pod_place(shape, index)
        place = NodePlace(tier=Tier.ELASTIC if elastic else Tier.FIXED, zone=Zone(zone))
        key = (index // shape.pods_per_replicaset, zone, elastic)
        costs.append(initial_cost(place, index_in_zone=counts[key], node_order=elastic_rank.get(node, 0)))
        counts[key] += 1
    return costs
