"""A storm: thirty ReplicaSets are scaled down at once, half of them by Deployments, half by HPAs. On simulated nodes.

Contract: contenders go one after another, each in a namespace and on nodes of its own, with nothing else running. Every
round scales all of them from 40 to 25 at once and back; a round begins when every pod is ready.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from demo import manifests
from demo.contenders import STORM, Contender
from demo.day import Scene
from demo.scaledowns import ScaleDown
from spillway.domain.model.names import Tier

SETS: Final = 30
FULL: Final = 40
REDUCED: Final = 25
SCENE_LABEL: Final = "demo.spillway.dev/scene"

_ROOM: Final = {Tier.FIXED: (6, "80"), Tier.ELASTIC: (18, "16")}
"""Nodes and cores of each: what does not fit on them goes to virtual nodes."""
_PATIENCE_SECONDS: Final = 180.0
_PARALLEL: Final = 30

Object = dict[str, Any]


async def storm(scene: Scene, contender: Contender, rounds: int, say: Callable[[str], None]) -> list[ScaleDown]:
    """Every scale-down of the storm."""
    namespace = contender.storm_namespace
    seen = len(scene.observer.tracker.finished)
    nodes = await asyncio.to_thread(_lay, scene, contender)
    await _all_ready(scene, namespace, SETS * FULL)
    for turn in range(1, rounds + 1):
        say(f"storm on {contender}: round {turn} of {rounds}, {SETS} ReplicaSets from {FULL} to {REDUCED} at once")
        await _scale(scene, namespace, REDUCED)
        await _settled(scene, namespace, SETS * REDUCED)
        if turn < rounds:
            await _scale(scene, namespace, FULL)
            await _all_ready(scene, namespace, SETS * FULL)
    await asyncio.to_thread(_clear, scene, namespace, nodes)
    return [down for down in scene.observer.tracker.finished[seen:] if down.namespace == namespace]


def _lay(scene: Scene, contender: Contender) -> list[str]:
    cluster = scene.cluster
    namespace = contender.storm_namespace
    cluster.rest.create("/api/v1/namespaces", manifests.namespace(contender, namespace))
    labels = {SCENE_LABEL: STORM}
    names: list[str] = []
    for tier, (count, cpu) in _ROOM.items():
        names += cluster.add_nodes(
            f"{STORM}-{contender.pool(tier)}",
            count,
            cpu=cpu,
            memory="512Gi",
            labels=labels | manifests.node_labels(contender, tier),
            taints=manifests.elastic_taints(contender) if tier is Tier.ELASTIC else [],
        )
    names += cluster.add_virtual_nodes(
        f"{STORM}-{contender.pool(Tier.VIRTUAL)}",
        len(manifests.ZONES),
        provider=manifests.PROVIDER,
        labels=labels | manifests.node_labels(contender, Tier.VIRTUAL),
        taints=manifests.virtual_soft_taints(),
    )
    cluster.rest.create_all(
        f"/apis/apps/v1/namespaces/{namespace}/deployments",
        [
            manifests.deployment(contender, namespace, _name(index), replicas=FULL, overflow=True, node_selector=labels)
            for index in range(SETS)
        ],
    )
    cluster.rest.create_all(
        f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers",
        [_autoscaler(namespace, index) for index in range(SETS) if _by_autoscaler(index)],
    )
    return names


def _autoscaler(namespace: str, index: int) -> Object:
    """An HPA whose bounds are equal to the number of replicas, so moving them moves the replicas."""
    made = manifests.autoscaler_object(namespace, _name(index), minimum=FULL, maximum=FULL)
    made["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"] = 0
    return made


async def _scale(scene: Scene, namespace: str, replicas: int) -> None:
    """Ask for that many replicas of every ReplicaSet, all at once."""
    rest = scene.cluster.rest

    def one(index: int) -> None:
        name = _name(index)
        if _by_autoscaler(index):
            rest.merge(
                f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers/{name}",
                {"spec": {"minReplicas": replicas, "maxReplicas": replicas}},
            )
        else:
            rest.merge(
                f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale", {"spec": {"replicas": replicas}}
            )

    def all_of_them() -> None:
        with ThreadPoolExecutor(_PARALLEL) as pool:
            list(pool.map(one, range(SETS)))

    await asyncio.to_thread(all_of_them)


async def _all_ready(scene: Scene, namespace: str, count: int) -> None:
    def ready() -> bool:
        pods = [pod for pod in scene.observer.state.pods_in(namespace) if pod.active]
        return len(pods) == count and all(pod.ready for pod in pods)

    await _until(scene, ready, f"{count} ready pods in {namespace}")


async def _settled(scene: Scene, namespace: str, count: int) -> None:
    def settled() -> bool:
        pods = scene.observer.state.pods_in(namespace)
        return len(pods) == count and scene.observer.tracker.open == 0

    await _until(scene, settled, f"{count} pods left in {namespace}")


async def _until(scene: Scene, check: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not check():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {_PATIENCE_SECONDS:g} s without success for {what}")
        scene.observer.follow(scene.elapsed())
        await scene.read_plans()
        await asyncio.sleep(0.5)


def _clear(scene: Scene, namespace: str, nodes: list[str]) -> None:
    rest = scene.cluster.rest
    rest.delete(f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers")
    rest.delete(f"/apis/apps/v1/namespaces/{namespace}/deployments")
    scene.cluster.wait_until(
        lambda: not rest.items(f"/api/v1/namespaces/{namespace}/pods", limit=1),
        f"an empty namespace {namespace}",
        timeout_seconds=_PATIENCE_SECONDS,
    )
    scene.cluster.delete_nodes(nodes)


def _name(index: int) -> str:
    return f"set-{index:02d}"


def _by_autoscaler(index: int) -> bool:
    return index % 2 == 1
