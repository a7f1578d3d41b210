"""What load classes cost the scheduler: pods with and without the preferred anti-affinity within a class.

`make bench-classes` → `build/bench/classes.json`. A real control plane with kwok's nodes and the real scheduler,
without the operator: the pods carry what its webhook would add. In each round the scheduler is stopped, pods are
created, and it goes on; measured are the time until all of them are on nodes and the CPU that the scheduler used, in
alternating rounds.
"""

import asyncio
import json
import time
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Final

import psutil
import typer

from localcluster import Cluster, Options
from spillway.domain.balance.classes import LoadClass, anti_affinity_term
from spillway.domain.model.names import LOAD_CLASS
from spillway.domain.model.records import PodRecord
from spillway.kube.client import KubeClient
from spillway.kube.informer import Informers
from spillway.state.cluster import ClusterState
from tests.bench.progress import progress
from tests.bench.ran_on import cpu_seconds, ran_on

_say: Final = progress("bench-classes")
OUTPUT: Final = Path("build/bench/classes.json")
CONTENDERS: Final = ("none", "classes")
CREATING: Final = 32
PATIENCE_SECONDS: Final = 400.0


def pod(number: int, *, classed: bool) -> dict[str, Any]:
    """One pod; of three, two are of the class that uses much CPU."""
    load_class = LoadClass.MEMORY if number % 3 == 0 else LoadClass.CPU
    affinity = {
        "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [anti_affinity_term(load_class)]}
    }
    requests = {"cpu": "100m", "memory": "256Mi"}
    return {
        "metadata": {"name": f"pod-{number}", "labels": {"app": "bench", LOAD_CLASS: load_class.value}},
        "spec": {
            "containers": [{"name": "main", "image": "pause", "resources": {"requests": requests}}],
            "terminationGracePeriodSeconds": 0,
            **({"affinity": affinity} if classed else {}),
        },
    }


def main(
    *,
    nodes: Annotated[int, typer.Option(help="Nodes.", min=1)] = 1000,
    pods: Annotated[int, typer.Option(help="Pods of a round.", min=1)] = 3000,
    rounds: Annotated[int, typer.Option(help="Rounds of each contender.", min=1)] = 2,
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = OUTPUT,
) -> None:
    """Measure and write the figures."""
    machine = ran_on()
    with Cluster(Options(audit=False)) as cluster:
        _say(f"adding {nodes} nodes")
        cluster.add_nodes("bench", nodes, cpu="8", memory="32Gi")
        figures = asyncio.run(_measure(cluster, pods, rounds))
    text = json.dumps(figures | {"load": {"nodes": nodes, "pods": pods, "rounds": rounds}, "ran_on": machine}, indent=2)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text + "\n")
    print(text)  # noqa: T201 - what the command is for


async def _measure(cluster: Cluster, pods: int, rounds: int) -> dict[str, Any]:
    state = ClusterState(clock=time.monotonic, now=time.time)
    cpu: dict[str, list[float]] = defaultdict(list)
    seconds: dict[str, list[float]] = defaultdict(list)
    async with await KubeClient.connect(str(cluster.kubeconfig)) as client:
        watching = asyncio.create_task(Informers(client, state).run())
        try:
            await state.wait_synced(PATIENCE_SECONDS)
            for number in range(rounds):
                for name in CONTENDERS:
                    place, classed = f"{name}-{number}", name == "classes"
                    used, took = await _round(cluster, client, state, place, pods, classed=classed)
                    _say(f"round {number + 1} of {rounds}, {name}: {took:.1f} s, {used:.1f} s of CPU")
                    cpu[name].append(1000 * used / pods)
                    seconds[name].append(took)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
    found: dict[str, Any] = {
        name: {
            "scheduler_cpu_ms_per_pod": round(median(cpu[name]), 2),
            "scheduler_cpu_ms_per_pod_rounds": [round(one, 2) for one in cpu[name]],
            "pods_per_second": round(pods / median(seconds[name]), 1),
        }
        for name in CONTENDERS
    }
    return found | {"cpu_ratio": round(median(cpu["classes"]) / median(cpu["none"]), 2)}


async def _round(
    cluster: Cluster, client: KubeClient, state: ClusterState, namespace: str, pods: int, *, classed: bool
) -> tuple[float, float]:
    """The CPU of the scheduler and the time until all pods of a round are on nodes."""
    cluster.rest.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
    cluster.rest.create(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "own"}})
    waiting, bound = asyncio.Event(), set[str]()
    created = asyncio.Semaphore(CREATING)

    def changed(_old: PodRecord | None, new: PodRecord | None) -> None:
        if new is not None and new.namespace == namespace and new.node:
            bound.add(new.name)
            if len(bound) == pods:
                waiting.set()

    async def create(number: int) -> None:
        body = pod(number, classed=classed)
        body["spec"]["serviceAccountName"] = "own"
        async with created:
            await client.request("POST", f"/api/v1/namespaces/{namespace}/pods", body=body)

    unsubscribe = state.subscribe(PodRecord, changed)
    cluster.pause("kube-scheduler")
    try:
        async with asyncio.TaskGroup() as group:
            for number in range(pods):
                group.create_task(create(number))
    finally:
        cluster.resume("kube-scheduler")
    scheduler = psutil.Process(cluster.pid("kube-scheduler"))
    before, began = cpu_seconds(scheduler), time.monotonic()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await waiting.wait()
    used, took = cpu_seconds(scheduler) - before, time.monotonic() - began
    unsubscribe()
    cluster.rest.delete(f"/api/v1/namespaces/{namespace}")
    async with asyncio.timeout(PATIENCE_SECONDS):
        while any(one.namespace == namespace for one in state.pods.values()):  # noqa: ASYNC110 - the watch ends it
            await asyncio.sleep(1.0)
    return used, took


if __name__ == "__main__":
    typer.run(main)
