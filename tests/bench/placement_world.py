"""A cluster with owned nodes, virtual pools, the operator from its chart and an observer. Dies with its block.

Contract: the operator runs as users have it, with the chart's rights and as many replicas as asked for; every wait has
an end, and what it waited for is in its error. Nothing here is timed: that is done by those who open a world.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from demo.contenders import Contender
from harness.operator import Installation, install
from harness.tasks import cancelled, uninterrupted
from localcluster import Cluster, Options
from localcluster.nodes import ZONES
from spillway.domain.model.names import Tier
from spillway.kube.client import MERGE_PATCH, KubeClient
from spillway.kube.informer import Informers
from spillway.state.cluster import ClusterState
from tests.bench import placement_stage as stage
from tests.bench.placement_observe import Observer
from tests.bench.placement_pools import Pool, Tenants

Say = Callable[[str], None]

PATIENCE_SECONDS: Final = 90.0
QUIET_SECONDS: Final = 6.0
"""So long nothing may have moved for it to be called rest."""
_POLL_SECONDS: Final = 0.1
_DEPLOYMENTS: Final = f"/apis/apps/v1/namespaces/{stage.NAMESPACE}/deployments"
_GROUP: Final = "/apis/spillway.dev/v1alpha1"


@dataclass(slots=True)
class World:
    """What a section works with."""

    cluster: Cluster
    client: KubeClient
    operator: Installation
    observer: Observer
    hours: "Clock"

    async def scale(self, replicas: Mapping[str, int]) -> None:
        """Ask for so many replicas of these workloads, all at once."""
        async with asyncio.TaskGroup() as group:
            for name, count in replicas.items():
                group.create_task(
                    self.client.request(
                        "PATCH",
                        f"{_DEPLOYMENTS}/{name}/scale",
                        body={"spec": {"replicas": count}},
                        content_type=MERGE_PATCH,
                    )
                )

    async def deploy(self, *deployments: dict[str, Any]) -> None:
        """Create workloads."""
        await asyncio.to_thread(self.cluster.rest.create_all, _DEPLOYMENTS, deployments)

    async def delete(self, name: str) -> None:
        """Delete a workload and wait until its pods are gone."""
        await asyncio.to_thread(self.cluster.rest.delete, f"{_DEPLOYMENTS}/{name}")
        await until(
            lambda: not any(owner.owner_name == name for owner in self.observer.replicasets()), f"the end of {name}"
        )

    async def policy_status(self) -> dict[str, Any]:
        """The policy's status as it stands."""
        body = await self.client.get_json(f"{_GROUP}/elasticpolicies/{stage.POLICY}")
        return dict(body.get("status") or {})

    async def rest(self, what: str, *, seconds: float = PATIENCE_SECONDS) -> float:
        """Wait until every replica is ready and nothing moves any more; returns how long that took, in seconds."""
        return await self.quiet(what, also=self.observer.settled, seconds=seconds)

    async def quiet(
        self, what: str, *, also: Callable[[], bool] = lambda: True, seconds: float = PATIENCE_SECONDS
    ) -> float:
        """Wait until no pod changes any more (and `also` holds); returns how long that took, in seconds."""
        began = time.monotonic()
        since, changes = began, -1
        while time.monotonic() - since < QUIET_SECONDS:
            if self.observer.changes != changes or not also():
                since, changes = time.monotonic(), self.observer.changes
            if time.monotonic() - began > seconds:
                raise TimeoutError(f"no rest within {seconds:g} s: {what}; pods: {dict(self.observer.placed())}")
            await asyncio.sleep(_POLL_SECONDS)
        return time.monotonic() - began - QUIET_SECONDS


class Clock:
    """Hours since `begin`, with so many seconds to the hour; negative before."""

    def __init__(self, seconds_per_hour: float = 3600.0) -> None:
        self.seconds_per_hour = seconds_per_hour
        self._began: float | None = None

    def begin(self) -> None:
        self._began = time.monotonic()

    def __call__(self) -> float:
        return -1.0 if self._began is None else (time.monotonic() - self._began) / self.seconds_per_hour


async def until(check: Callable[[], bool], what: str, *, seconds: float = PATIENCE_SECONDS) -> float:
    """Wait for it; returns how long it took, in seconds."""
    began = time.monotonic()
    while not check():
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"waited {seconds:g} s without success for {what}")
        await asyncio.sleep(_POLL_SECONDS / 5)
    return time.monotonic() - began


@asynccontextmanager
async def open_world(
    say: Say,
    *,
    pools: Sequence[Pool],
    resources: Sequence[dict[str, Any]],
    owned_nodes: int,
    owned_cpu: int,
    workloads: Sequence[dict[str, Any]] = (),
    replicas: int = 2,
    flags: Sequence[str] = (),
    seconds_per_hour: float = 3600.0,
) -> AsyncIterator[World]:
    """Give a world in which the policy is Ready and nothing runs but `workloads`, which stood there before it."""
    async with AsyncExitStack() as stack:
        cluster = await uninterrupted(lambda: Cluster(Options()), Cluster.stop)
        stack.callback(cluster.stop)
        await asyncio.to_thread(_lay_nodes, cluster, pools, owned_nodes, owned_cpu)
        say(f"installing the operator from its chart, {replicas} of it")
        operator = await uninterrupted(lambda: install(cluster, replicas=replicas, flags=flags), Installation.close)
        stack.callback(operator.close)
        await asyncio.to_thread(_lay_workloads, cluster, workloads)
        await asyncio.to_thread(cluster.apply, resources)
        await asyncio.to_thread(
            cluster.kubectl, "wait", "--for=condition=Ready", f"elp/{stage.POLICY}", "--timeout=45s"
        )
        client = await stack.enter_async_context(await KubeClient.connect(str(cluster.kubeconfig)))
        state = ClusterState(clock=time.monotonic, now=time.time)
        clock = Clock(seconds_per_hour)
        observer = Observer(state, Tenants(pools), clock)
        watching = asyncio.create_task(Informers(client, state).run())
        stack.push_async_callback(cancelled, watching)
        await state.wait_synced(PATIENCE_SECONDS)
        yield World(cluster, client, operator, observer, clock)


def _lay_nodes(cluster: Cluster, pools: Sequence[Pool], owned_nodes: int, owned_cpu: int) -> None:
    cluster.rest.create("/api/v1/namespaces", stage.namespace())
    names = cluster.add_nodes(
        Contender.SPILLWAY.pool(Tier.FIXED),
        owned_nodes,
        cpu=str(owned_cpu),
        memory="128Gi",
        pods=500,
        labels=stage.node_labels(),
        wait=False,
    )
    for pool in pools:
        names += cluster.add_virtual_nodes(
            pool.name, len(ZONES), provider=pool.name, labels=stage.node_labels(pool.name), wait=False
        )
    cluster.wait_nodes_ready(names)


def _lay_workloads(cluster: Cluster, workloads: Sequence[dict[str, Any]]) -> None:
    cluster.rest.create_all(_DEPLOYMENTS, workloads)
    pods = sum(workload["spec"]["replicas"] for workload in workloads)
    if pods:
        cluster.wait_pods_ready(stage.NAMESPACE, pods, timeout_seconds=PATIENCE_SECONDS)
