"""The day of `bench_placement`: 14 days of history in Prometheus, thresholds planned by the operator, a day lived.

Contract: what is asked for is the scenario's (`placement_scenario`), written on each Deployment's scale subresource as
an autoscaler would; where pods go is the operator's doing and the scheduler's. Counted by an observer from its own
watch at every minute of the day's clock, and at rest afterwards: in the valley, and scaled up to the peak again.
"""

import asyncio
import time
from dataclasses import asdict
from decimal import Decimal
from typing import Any, Final

import numpy as np

from demo.scenario import DAY_BEGINS_AT, HOURS, TARGET_UTILIZATION
from harness.prometheus import PushedPrometheus, prometheus_running
from tests.bench import placement_costs, placement_pools, placement_tiers
from tests.bench import placement_stage as stage
from tests.bench.placement_costs import Prices, Replicas, VirtualPrice
from tests.bench.placement_pools import Limits, Pool, Price
from tests.bench.placement_scenario import HISTORY_DAYS, STEP_MINUTES, Dates, step_at
from tests.bench.placement_world import Say, World, open_world
from tests.support.prometheus import replicas_series

OWNED_NODES: Final = 12
OWNED_CPU: Final = 11
NODE_HOUR: Final = 1.10
"""Prepaid; a tenth of a unit for a core."""
TARGET_PERCENT: Final = 54
"""Of real load. Replicas that use 60 % of what they request can fill a node to 57 % and no further; the rest is room
for the spread over zones."""
POOLS: Final = (
    Pool("near", Price(cpu=0.25, memory_gib=0.03, minimum_seconds=60), Limits(pods=60, cpu_millis=42_000)),
    Pool("far", Price(cpu=0.30, memory_gib=0.035, minimum_seconds=60), Limits(cost_per_hour=30.0)),
)
"""A virtual replica costs about two and a half times what an owned one does, if that is always in use. The first pool
is too small for the peak."""
SPILL_AFTER: Final = "10s"
PLAN_SECONDS: Final = 120.0
REST_COUNT_SECONDS: Final = 10.0
_TICK_SECONDS: Final = 0.1
_STEP_SECONDS: Final = STEP_MINUTES * 60.0
_DAY_SECONDS: Final = 86_400.0


def prices() -> Prices:
    """The price table, by the replica."""
    load = stage.REPLICA.cpu_millis / 1000 * TARGET_UTILIZATION / 100
    return Prices(
        owned_core_hour=NODE_HOUR / OWNED_CPU,
        owned_cores_per_replica=load / (TARGET_PERCENT / 100),
        pools=tuple(VirtualPrice(pool.price.of(stage.REPLICA), _replicas(pool)) for pool in POOLS),
    )


def _replicas(pool: Pool) -> int | None:
    """How many replicas its limits let it take."""
    limits, bounds = pool.limits, []
    if limits.pods is not None:
        bounds.append(limits.pods)
    if limits.cpu_millis is not None:
        bounds.append(limits.cpu_millis // stage.REPLICA.cpu_millis)
    if limits.cost_per_hour is not None:
        bounds.append(int(Decimal(str(limits.cost_per_hour)) / Decimal(str(pool.price.of(stage.REPLICA)))))
    return min(bounds, default=None)


async def measure(say: Say, dates: Dates, *, seconds: float, replicas: int = 2) -> dict[str, Any]:
    """Live the day; its figures."""
    policy = stage.policy(
        POOLS,
        {
            "threshold": {"mode": "Auto", "history": f"{HISTORY_DAYS}d"},
            "placement": {"virtual": "Overflow", "spillAfter": SPILL_AFTER, "bringBack": True},
            "scaling": {"target": {"metric": "cpu", "utilization": TARGET_UTILIZATION}},
        },
        {"price": {"nodeHour": f"{NODE_HOUR:g}", "currency": stage.CURRENCY}, "targetUtilization": TARGET_PERCENT},
    )
    with prometheus_running() as prometheus:
        say(f"putting {HISTORY_DAYS} days of {len(dates.names)} workloads into Prometheus")
        await asyncio.to_thread(push_history, prometheus, dates, time.time())
        async with open_world(
            say,
            pools=POOLS,
            resources=[*(stage.budget(pool) for pool in POOLS), policy],
            owned_nodes=OWNED_NODES,
            owned_cpu=OWNED_CPU,
            # They stand when the policy comes: a plan that has been made is not made again for an hour.
            workloads=[stage.deployment(name, 1) for name in dates.names],
            replicas=replicas,
            flags=[f"--prometheus-url={prometheus.url}", "--status-seconds=2"],
            seconds_per_hour=seconds / HOURS,
        ) as world:
            return await _live(say, world, dates)


def push_history(prometheus: PushedPrometheus, dates: Dates, now: float) -> None:
    """Write every workload's replicas of the days before `now`, each date with its own noise, by the hour of UTC."""
    end = now // _STEP_SECONDS * _STEP_SECONDS
    times = np.arange(end - HISTORY_DAYS * _DAY_SECONDS, end + 1, _STEP_SECONDS)
    by_date = np.stack([dates.calendar(date) for date in range(HISTORY_DAYS)])
    date, steps = _calendar(times)
    prometheus.push(
        [
            (
                replicas_series(f"Deployment/{stage.NAMESPACE}/{name}"),
                times,
                by_date[date, row, steps].astype(np.float64),
            )
            for row, name in enumerate(dates.names)
        ]
    )


def _calendar(times: "np.ndarray[Any, np.dtype[np.float64]]") -> tuple[Any, Any]:
    """The date in the scenario and the step of the day at these times."""
    days = np.floor(times / _DAY_SECONDS).astype(np.int64)
    return (days - days[0]) % HISTORY_DAYS, ((times % _DAY_SECONDS) // _STEP_SECONDS).astype(np.int64)


async def _live(say: Say, world: World, dates: Dates) -> dict[str, Any]:
    observer, demand = world.observer, dates.lived()
    say("waiting until the operator has planned every threshold from the history")
    planned_in, status = await _planned(world, dates)
    await world.scale(_asked(dates, demand, 0))
    await world.rest("before the day")
    say(f"the day begins: {world.hours.seconds_per_hour:.1f} s to the hour")
    world.hours.begin()
    following = asyncio.create_task(_follow_thresholds(world))
    try:
        await _play(world, dates, demand)
        day = placement_tiers.figures(observer.by_minute)
        stays, breaches = observer.tenants.stays(), list(observer.tenants.breaches)
        say("the day is over; counting at rest, in the valley and at the peak")
        at_rest = {"valley": await _at_rest(world, "after the day")}
        await world.scale(_asked(dates, demand, int(demand.sum(axis=0).argmax())))
        at_rest["peak"] = await _at_rest(world, "at the peak")
    finally:
        following.cancel()
    breaches_at_rest = observer.tenants.breaches[len(breaches) :]
    by_pool = placement_pools.cost(stays, {pool.name: pool for pool in POOLS}, until=HOURS)
    table = prices()
    costs = placement_costs.figures(
        demand, table, owned_cores=OWNED_NODES * OWNED_CPU, hours=HOURS, spillway_virtual=sum(by_pool.values())
    )
    best = costs.pop("clairvoyant_thresholds")
    thresholds = {name: observer.thresholds.get(name) for name in dates.names}
    promised = placement_costs.with_thresholds(demand, _numbers(thresholds, demand), table, HOURS)
    owned = placement_costs.owned_replicas(demand, _numbers(thresholds, demand))
    return {
        "wrong_tier_percent": day | {"at_rest": at_rest, "episodes": observer.episodes},
        "budget_breaches": len(breaches) + len(breaches_at_rest),
        "breaches": [asdict(breach) for breach in (*breaches, *breaches_at_rest)][:50],
        "pools": observer.tenants.figures(),
        "cost": costs
        | {
            "spillway_virtual_by_pool": {name: round(cost, 3) for name, cost in by_pool.items()},
            "virtual_if_thresholds_were_kept_exactly": round(promised, 3),
            "accounting": _accounting(table, demand),
        },
        "thresholds": {
            "planned_after_seconds": round(planned_in, 1),
            "spillway": thresholds,
            "clairvoyant": dict(zip(dates.names, best, strict=True)),
            "most_replicas_owned": int(owned.max()),
            "room_for_replicas": table.replicas_owned(OWNED_NODES * OWNED_CPU),
            "confidence": {
                entry["workload"].rpartition("/")[2]: entry.get("confidence") for entry in status.get("thresholds", [])
            },
        },
        "operator": await asyncio.to_thread(_counted, world),
        "day": {
            "seed": dates.seed,
            "workloads": len(dates.names),
            "seconds_per_hour": world.hours.seconds_per_hour,
            "step_minutes": STEP_MINUTES,
            "history_days": HISTORY_DAYS,
            "replicas_min": int(demand.sum(axis=0).min()),
            "replicas_max": int(demand.sum(axis=0).max()),
            "scalings": int((np.diff(demand, axis=1) != 0).sum()),
            "spill_after": SPILL_AFTER,
        },
    }


def _numbers(thresholds: dict[str, int | None], demand: Replicas) -> list[int]:
    """No threshold is one that is never reached."""
    return [int(row.max()) if kept is None else kept for kept, row in zip(thresholds.values(), demand, strict=True)]


def _asked(dates: Dates, demand: Replicas, step: int) -> dict[str, int]:
    return {name: int(count) for name, count in zip(dates.names, demand[:, step], strict=True)}


async def _planned(world: World, dates: Dates) -> tuple[float, dict[str, Any]]:
    """Wait until each workload has a planned threshold; how long that took, and the status that says so."""
    began = time.monotonic()
    while True:
        status = await world.policy_status()
        planned = _thresholds(status, "Auto")
        if all(name in planned for name in dates.names):
            world.observer.thresholds = planned
            return time.monotonic() - began, status
        if time.monotonic() - began > PLAN_SECONDS:
            shown = {entry["workload"]: entry.get("reason") for entry in status.get("thresholds", [])}
            raise TimeoutError(f"no plan of all thresholds within {PLAN_SECONDS:g} s: {shown or status}")
        await asyncio.sleep(0.5)


def _thresholds(status: dict[str, Any], *reasons: str) -> dict[str, int | None]:
    """By the workload's name; only those with one of these reasons, if any are given."""
    return {
        entry["workload"].rpartition("/")[2]: int(entry["replicas"])
        for entry in status.get("thresholds", [])
        if not reasons or entry.get("reason") in reasons
    }


async def _follow_thresholds(world: World) -> None:
    """Plans may change while the day goes by; what is right is what stands."""
    while True:
        await asyncio.sleep(2.0)
        planned = _thresholds(await world.policy_status(), "Auto")
        if planned:
            world.observer.thresholds = planned


async def _play(world: World, dates: Dates, demand: Replicas) -> None:
    """Ask for what each step asks for, and count at every minute."""
    step, scaling = 0, set[asyncio.Task[None]]()
    while (hours := world.hours()) < HOURS:
        world.observer.minute()
        if (now := step_at(hours)) > step:
            before, after = _asked(dates, demand, step), _asked(dates, demand, now)
            changed = {name: count for name, count in after.items() if count != before[name]}
            step = now
            # Counting must not wait for a slow answer.
            task = asyncio.create_task(world.scale(changed))
            scaling.add(task)
        for done in [task for task in scaling if task.done()]:
            scaling.discard(done)
            done.result()
        await asyncio.sleep(_TICK_SECONDS)
    await asyncio.gather(*scaling)


async def _at_rest(world: World, what: str) -> dict[str, Any]:
    took = await world.rest(what)
    most, total, began = 0, 0, time.monotonic()
    while time.monotonic() - began < REST_COUNT_SECONDS:
        found = world.observer.count()
        most, total = max(most, found.wrong), found.total
        await asyncio.sleep(_TICK_SECONDS)
    return {
        "percent": round(100 * most / total, 4) if total else 0.0,
        "wrong": most,
        "pods": total,
        "placed": dict(world.observer.placed()),
        "rest_after_seconds": round(took, 1),
    }


def _counted(world: World) -> dict[str, Any]:
    """What the operator itself counted."""
    operator = world.operator
    hold = "spillway_admission_hold_seconds"
    count = operator.total(f"{hold}_count", webhook="pods")
    return {
        "pods_decided": count,
        "hold_ms_mean": round(1000 * operator.total(f"{hold}_sum", webhook="pods") / count, 3) if count else 0.0,
        "let_go": operator.total("spillway_admission_let_go_total", webhook="pods"),
    }


def _accounting(table: Prices, demand: Replicas) -> dict[str, Any]:
    """What is counted, and the price table."""
    return {
        "currency": stage.CURRENCY,
        "owned_core_hour": table.owned_core_hour,
        "owned_cores_per_replica": round(table.owned_cores_per_replica, 4),
        "owned_capacity_cores": OWNED_NODES * OWNED_CPU,
        "owned_capacity_percent_of_peak": round(
            100 * table.replicas_owned(OWNED_NODES * OWNED_CPU) / int(demand.sum(axis=0).max()), 1
        ),
        "virtual_replica_hour": {
            pool.name: round(price.replica_hour, 4) for pool, price in zip(POOLS, table.pools, strict=True)
        },
        "begins_at_hour": DAY_BEGINS_AT,
        "all_owned": "owned cores for the peak of the day, paid for 24 h",
        "all_virtual": "owned cores for the valley, paid for 24 h; every replica-hour beyond it at the pools' prices",
        "spillway": "the policy's owned cores, paid for 24 h; what each pod that stood on a virtual pool asked for, "
        "from its binding until it was gone, 60 s at least",
        "clairvoyant": "the same owned cores, paid for 24 h; the thresholds that are cheapest for the demand of that "
        "very day, never more replicas on owned nodes than capacity x target utilisation keeps (integer program)",
    }
