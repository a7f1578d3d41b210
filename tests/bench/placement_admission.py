"""What the pods webhook adds to a creation at 200 pods a second, with placement on.

Contract: the cluster of `bench_admission`: etcd, an API server and the operator's processes, 2,000 nodes and 30,000
pods in the informer, no scheduler. This program creates pods of existing ReplicaSets and binds each where it was
placed: the first ones of each are below its threshold, the others go to a virtual pool with limits on everything.
Slices with the webhook and without it take turns; what is added is the difference of the quantiles of the creation.
The other webhooks stay on.
"""

import argparse
import asyncio
import itertools
from contextlib import ExitStack
from typing import Any, Final

from harness.operator import Installation, install
from localcluster import ClusterApi
from localcluster.binaries import CORE
from localcluster.build import ensure_built
from localcluster.nodes import ZONES
from spillway.domain.model.names import PLACEMENT
from spillway.kube.client import KubeClient
from tests.bench import bench_admission
from tests.bench.admission_load import CONNECTIONS, Load, Metadata, Timings, slices
from tests.bench.informer_objects import Shape
from tests.bench.placement_world import Say

WEBHOOK: Final = "pods.spillway.dev"
POOL: Final = "far"
VIRTUAL_NODES: Final = 9
NEW_BELOW_THRESHOLD: Final = 2
"""Of the pods that the bench creates of each ReplicaSet, the first ones that are still physical."""
REPLICAS_ASKED: Final = 100
"""A ReplicaSet's controller creates pods only while it has fewer; where it did else, admission would wait for news."""
_LABEL: Final = "pool"
_READY: Final = {
    "type": "Ready",
    "status": "True",
    "reason": "Bench",
    "lastTransitionTime": "2026-01-05T08:00:00Z",
}


class PlacedLoad(Load):
    """Binds a pod as the scheduler would: on a virtual node where admission sent it there."""

    def __init__(self, client: KubeClient, shape: Shape, virtual_nodes: list[str]) -> None:
        super().__init__(client, shape)
        self._virtual_nodes = itertools.cycle(virtual_nodes)
        self.placed: dict[str, int] = {}
        """Pods by what admission decided; the empty word where it did not."""

    def node_for(self, serial: int, _pod: Metadata) -> str:
        decided = _pod.annotations.get(PLACEMENT, "")
        self.placed[decided] = self.placed.get(decided, 0) + 1
        return next(self._virtual_nodes) if decided == "virtual" else super().node_for(serial, _pod)


def resources(shape: Shape) -> list[dict[str, Any]]:
    """A pool with limits that are asked for each pod and never reached, and a policy that governs everything."""
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
            "failover": {"startAfter": "2h"},
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


def measure(
    say: Say, *, rate: int = 200, seconds: int = 10, rounds: int = 4, replicas: int = 2, shape: Shape | None = None
) -> dict[str, Any]:
    """What creations take with the webhook and without it."""
    shape = shape or Shape(pods=30_000, nodes=2_000, replicas_asked=REPLICAS_ASKED)
    ensure_built([*CORE, "helm", "kubectl"])
    arguments = argparse.Namespace(rate=rate, seconds=seconds, rounds=rounds, replicas=replicas)
    with ExitStack() as stack:
        say(f"writing {shape.pods} pods on {shape.nodes} nodes into etcd")
        cluster = bench_admission._cluster(stack, shape)
        nodes = cluster.add_virtual_nodes(POOL, VIRTUAL_NODES, zones=ZONES, labels={_LABEL: POOL}, wait=False)
        for node in nodes:
            cluster.rest.merge(f"/api/v1/nodes/{node}/status", {"status": {"conditions": [_READY]}})
        operator = stack.enter_context(install(cluster, replicas=replicas))
        cluster.apply(resources(shape))
        bench_admission._wait_until_quiet(operator)
        return asyncio.run(_measure(say, arguments, shape, cluster, operator, nodes))


async def _measure(  # noqa: PLR0917 - the load and what it runs against
    say: Say,
    arguments: argparse.Namespace,
    shape: Shape,
    cluster: ClusterApi,
    operator: Installation,
    nodes: list[str],
) -> dict[str, Any]:
    met: dict[str, list[Timings]] = {"with": [], "without": []}
    async with (
        await KubeClient.connect(str(cluster.kubeconfig), connections=CONNECTIONS) as client,
        PlacedLoad(client, shape, nodes) as load,
    ):
        say("warming up")
        warming = Timings()
        await load.bind_pods(arguments.rate, 5, warming)
        if warming.failures:
            raise RuntimeError(f"{len(warming.failures)} requests failed, the first: {warming.failures[0]}")
        load.placed.clear()
        for kind in slices(("without", "with"), arguments.rounds):
            await asyncio.to_thread(bench_admission.switch, cluster, WEBHOOK, on=kind == "with")
            say(f"{arguments.rate} pods a second {kind} the pods webhook")
            timings = Timings()
            await load.bind_pods(arguments.rate, arguments.seconds, timings)
            met[kind].append(timings)
        placed = load.placed
    return bench_admission._added(met, "create_ms") | {
        "pods": sum(len(timings.pods) for timings in met["with"]),
        "placed": {name or "without_the_webhook": count for name, count in placed.items()},
        "failures": sum(len(timings.failures) for kind in met.values() for timings in kind),
        "in_the_operator": bench_admission.served(operator, "pods"),
        "as_the_api_server_saw_it": bench_admission.seen_by_the_api_server(cluster, WEBHOOK),
        "load": {
            "pods_in_informer": shape.pods,
            "nodes": shape.nodes,
            "pods_per_second": arguments.rate,
            "operator_replicas": arguments.replicas,
            "slice_seconds": arguments.seconds,
            "rounds": arguments.rounds,
        },
    }
