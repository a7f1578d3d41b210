"""The failover of `bench_placement`: a pool of a hundred pods dies; how long until all are scheduled elsewhere.

Contract: every node of the first pool stops being ready at the same moment, as when a datacentre is lost; the second
pool and the owned nodes stay. Time runs from the moment before the first node is killed until a hundred active pods
stand on nodes outside the dead pool, as the observer's own watch shows it. `unhealthyAfter` is part of it and is told.
"""

import asyncio
import time
from typing import Any, Final

from tests.bench import placement_stage as stage
from tests.bench.placement_pools import Pool, Price
from tests.bench.placement_world import PATIENCE_SECONDS, Say, World, open_world, until

PODS: Final = 100
UNHEALTHY_AFTER_SECONDS: Final = 10
_PRICE: Final = Price(cpu=0.25, memory_gib=0.03)
_FIRST: Final = Pool("first", _PRICE)
_SECOND: Final = Pool("second", Price(cpu=0.30, memory_gib=0.035))
_NAME: Final = "service"


async def measure(say: Say) -> dict[str, Any]:
    """Kill a pool and wait."""
    failover = {"unhealthyAfter": f"{UNHEALTHY_AFTER_SECONDS}s", "retryAfter": "5m"}
    policy = stage.policy((_FIRST, _SECOND), {"threshold": {"mode": "Manual", "replicas": 0}})
    async with open_world(
        say,
        pools=(_FIRST, _SECOND),
        resources=[*(stage.budget(pool, failover=failover) for pool in (_FIRST, _SECOND)), policy],
        owned_nodes=3,
        owned_cpu=8,
    ) as world:
        world.hours.begin()
        await world.deploy(stage.deployment(_NAME, PODS))
        await world.rest("before the pool is killed")
        before = world.observer.placed()
        say(f"killing the pool of {before[_FIRST.name]} pods")
        doomed = [name for name in world.observer.state.nodes if world.observer.pool_of(name) == _FIRST.name]
        killed = time.monotonic()
        await asyncio.to_thread(world.cluster.fail_nodes, doomed)
        await until(lambda: _elsewhere(world) >= 1, "the first pod elsewhere", seconds=2 * PATIENCE_SECONDS)
        first = time.monotonic() - killed
        await until(lambda: _elsewhere(world) >= PODS, f"{PODS} pods elsewhere", seconds=2 * PATIENCE_SECONDS)
        took = time.monotonic() - killed
        await until(lambda: world.observer.ready_pods().get(_NAME, 0) >= PODS, f"{PODS} ready pods")
        ready = time.monotonic() - killed
        return {
            "seconds": round(took, 2),
            "seconds_without_unhealthy_after": round(took - UNHEALTHY_AFTER_SECONDS, 2),
            "until_the_first_pod_elsewhere": round(first, 2),
            "until_all_are_ready": round(ready, 2),
            "unhealthy_after_seconds": UNHEALTHY_AFTER_SECONDS,
            "pods": PODS,
            "placed_before": dict(before),
            "placed_after": dict(world.observer.placed()),
            "breaches": len(world.observer.tenants.breaches),
        }


def _elsewhere(world: World) -> int:
    """Active pods on nodes that are not of the dead pool."""
    placed = world.observer.placed()
    return placed.total() - placed[_FIRST.name] - placed["unassigned"]
