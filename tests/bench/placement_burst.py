"""Bursts of `bench_placement`: all replicas of one ReplicaSet asked for at once, and a burst against a pool's limit.

Contract: each burst begins with no pod of its workload and ends when every pod that can be placed is; wrong are pods
that stand in another tier than the threshold says. With two replicas of the operator, then with one.
"""

import time
from dataclasses import asdict
from statistics import median
from typing import Any, Final

from tests.bench import placement_stage as stage
from tests.bench import placement_tiers
from tests.bench.placement_pools import Limits, Pool, Price
from tests.bench.placement_tiers import Census
from tests.bench.placement_world import QUIET_SECONDS, Say, World, open_world, until

PODS: Final = 300
THRESHOLD: Final = 120
ROUNDS: Final = 5
LIMITED_PODS: Final = 500
LIMITED_CORES: Final = 200
_OPEN: Final = Pool("open", Price(cpu=0.25, memory_gib=0.03))
_LIMITED: Final = Pool("limited", Price(cpu=0.25, memory_gib=0.03), Limits(cpu_millis=LIMITED_CORES * 1000))
_OWNED_NODES: Final = 6
_OWNED_CPU: Final = 40
"""Room for 240 replicas of 950m: a tier that is wrong is the operator's choice, not a lack of room."""


async def measure(say: Say, *, rounds: int = ROUNDS) -> dict[str, Any]:
    """The error rate of a burst, with two replicas of the operator and with one; and the burst against a limit."""
    result: dict[str, Any] = {"pods": PODS, "threshold": THRESHOLD, "rounds": rounds}
    for replicas in (2, 1):
        policy = stage.policy((_OPEN,), {"threshold": {"mode": "Manual", "replicas": THRESHOLD}})
        async with open_world(
            say,
            pools=(_OPEN,),
            resources=[stage.budget(_OPEN), policy],
            owned_nodes=_OWNED_NODES,
            owned_cpu=_OWNED_CPU,
            replicas=replicas,
        ) as world:
            found = [await _burst(say, world, turn, replicas) for turn in range(rounds)]
        result["by_operator_replicas"] = result.get("by_operator_replicas", {}) | {str(replicas): summary(found)}
    result["error_percent"] = result["by_operator_replicas"]["2"]["error_percent"]
    result["against_a_limit"] = await _against_a_limit(say)
    return result


def summary(bursts: list[dict[str, Any]]) -> dict[str, Any]:
    """Over all bursts of one kind."""
    wrong, pods = sum(burst["wrong"] for burst in bursts), sum(burst["pods"] for burst in bursts)
    return {
        "error_percent": round(100 * wrong / pods, 4) if pods else 0.0,
        "wrong": wrong,
        "pods": pods,
        "seconds_until_placed": round(median(burst["seconds"] for burst in bursts), 2),
        "bursts": bursts,
    }


async def _burst(say: Say, world: World, turn: int, replicas: int) -> dict[str, Any]:
    say(f"burst {turn + 1}: {PODS} pods of one ReplicaSet at once, {replicas} of the operator")
    name = f"burst-{turn}"
    await world.deploy(stage.deployment(name, PODS))
    took = await until(lambda: _landed(world, name).total == PODS, f"{PODS} pods of {name} on nodes")
    census = _landed(world, name)
    await world.delete(name)
    return {
        "physical": census.physical,
        "virtual": census.virtual,
        "wrong": placement_tiers.wrong(census, THRESHOLD),
        "pods": census.total,
        "seconds": round(took, 2),
    }


def _landed(world: World, name: str) -> Census:
    """The pods of a workload that are on a node."""
    found = Census(0, 0)
    for owner in world.observer.replicasets():
        if owner.owner_name == name:
            census = world.observer.census(owner.uid)
            found = Census(found.physical + census.physical, found.virtual + census.virtual)
    return found


async def _against_a_limit(say: Say) -> dict[str, Any]:
    say(f"burst: {LIMITED_PODS} pods of one core at once against a limit of {LIMITED_CORES} cores")
    policy = stage.policy((_LIMITED,), {"threshold": {"mode": "Manual", "replicas": 0}})
    async with open_world(
        say,
        pools=(_LIMITED,),
        resources=[stage.budget(_LIMITED), policy],
        owned_nodes=_OWNED_NODES,
        owned_cpu=_OWNED_CPU,
    ) as world:
        world.hours.begin()
        began = time.monotonic()
        await world.deploy(stage.deployment("limited", LIMITED_PODS, cpu="1"))
        await until(lambda: _landed(world, "limited").total >= LIMITED_CORES, f"{LIMITED_CORES} pods on nodes")
        # What found no place must stay without: look on for a while.
        await world.quiet("the burst against a limit")
        took = time.monotonic() - began - QUIET_SECONDS
        tenants = world.observer.tenants
        return {
            "pods": LIMITED_PODS,
            "limit_cores": LIMITED_CORES,
            "most_used_cores": tenants.figures()[_LIMITED.name]["most_used"]["cpu_millis"] / 1000,
            "breaches": [asdict(breach) for breach in tenants.breaches],
            "placed": dict(world.observer.placed()),
            "seconds_until_quiet": round(took, 2),
        }
