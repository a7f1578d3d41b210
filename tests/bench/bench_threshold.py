"""The joint allocation of thresholds beside what HiGHS proves possible, greedy, and one percentile for everybody.

Writes `build/bench/threshold.json`. Each scenario is a set of workloads, an owned capacity as a share of their common
peak, and all contenders on exactly these: the same room, no load above it at any step, levels nested, higher priorities
first with what they leave for the others. Ratios are owned core-steps in use over the bound. Real demand is read from
gzipped CSV files with `ts` and `value` where there are any (`--traces`); without them their scenario tells why it
is not there. Under `next_day` is what the plan assumes of a day, past days or the forecast distribution, judged by the
day that followed.
"""

import csv
import gzip
import heapq
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer

from spillway.domain.model.units import DAY_SECONDS
from spillway.domain.threshold.allocation import allocate
from spillway.domain.threshold.cycle import Cycle, cycle_of
from spillway.domain.threshold.demand import Demand, Series
from spillway.domain.threshold.node_groups import NodeGroup
from spillway.domain.threshold.packing import Nodes, Requests
from spillway.domain.threshold.past import Past
from spillway.domain.threshold.placeable import allocate_placeable
from spillway.domain.threshold.request import PlanRequest, PolicyNeed, Stance, WorkloadNeed
from spillway.domain.threshold.solve import solve
from tests.bench.threshold_bound import bound_of
from tests.bench.threshold_next_day import next_day

ROOT: Final = Path(__file__).resolve().parents[2]
OUTPUT: Final = Path("build/bench/threshold.json")
STEP_SECONDS: Final = 300
TARGET: Final = 0.65
SHARES: Final = (0.5, 0.7, 0.85)
GOALS: Final = {"lp_ratio_min": 0.99, "seconds_max": 5.0, "shape_seconds_max": 5.0, "planned_above_target": 0}
SHAPES: Final = ((1, 100_000), (20, 5_000), (200, 200))
"""Workloads and the replicas at the peak of each: few workloads of many replicas."""
NODE_CORES: Final = 16.0
"""Pods of 2 and 4 cores are placed node by node there, the smaller ones by the sum."""
HISTORY_DAYS: Final = 7
ROUNDING: Final = 1e-6

Counts = list[int]
Share = Callable[[Sequence[Demand], Series], Counts]


def main(
    *,
    workloads: Annotated[int, typer.Option(help="Workloads of the made-up scenarios.")] = 2000,
    seed: Annotated[int, typer.Option(help="Of everything that is made up.")] = 1,
    limit: Annotated[float, typer.Option(help="Seconds that HiGHS may take for each bound.")] = 20.0,
    week: Annotated[bool, typer.Option(help="Time a week as well; no bound by HiGHS there.")] = True,
    traces: Annotated[Path, typer.Option(help="Folder with real demand.")] = ROOT.parent / "shared" / "traces",
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = OUTPUT,
) -> None:
    """Allocate, bound, compare, and write the figures."""
    day = made_up(workloads, seed, days=1)
    scenarios: dict[str, Any] = {}
    for share in SHARES:
        scenarios[f"made_up_{share}"] = compared(day, share, limit)
    scenarios["made_up_two_priorities_0.7"] = compared(made_up(workloads, seed, days=1, urgent=0.2), 0.7, limit)
    found = list(real(traces, seed))
    for share in SHARES:
        scenarios[f"real_{share}"] = (
            compared(found, share, limit) if found else {"skipped": "no folder with real demand; hand over --traces"}
        )
    if week:
        scenarios["week_0.7"] = timed(made_up(workloads, seed, days=7), 0.7)
    shapes = {
        f"shape_{count}x{replicas}_{share}": whole(of_one_size(count, replicas, seed), share)
        for count, replicas in SHAPES
        for share in SHARES
    }
    shapes |= {
        f"on_nodes_{count}x{replicas}_{share}": whole(of_one_size(count, replicas, seed), share, node_cores=NODE_CORES)
        for count, replicas in SHAPES
        for share in SHARES
    }
    scenarios |= shapes
    measured = [one for one in scenarios.values() if "lp_ratio" in one]
    figures = {
        "lp_ratio": min(one["lp_ratio"] for one in measured),
        "seconds": max(one["ours"]["seconds"] for one in measured if one["workloads"] == workloads),
        "shape_seconds": max(one["plan_seconds"] for one in shapes.values()),
        "planned_above_target": sum(one["ours"]["steps_above_target"] for one in scenarios.values() if "ours" in one),
        "goals": GOALS,
        "next_day": [next_day(traces, seed, share=share, target=TARGET) for share in SHARES],
        "scenarios": scenarios,
        "ran": {"seed": seed, "cpus": os.cpu_count(), "load_average_1m": round(os.getloadavg()[0], 1)},
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(figures, indent=2) + "\n")
    typer.echo(
        json.dumps({key: figures[key] for key in ("lp_ratio", "seconds", "shape_seconds", "planned_above_target")})
    )
    typer.echo(f"figures: {output}")


def made_up(workloads: int, seed: int, *, days: int, urgent: float = 0.0) -> list[Demand]:
    """Days with a peak at midday or in the evening, some at night, of widths, sizes and noise of their own."""
    random = np.random.default_rng(seed)
    hours = np.arange(DAY_SECONDS // STEP_SECONDS) * STEP_SECONDS / 3600
    demands = []
    for index in range(workloads):
        at, width = random.choice([12.0, 20.0, 3.0], p=[0.35, 0.5, 0.15]) + random.normal(0, 1.5), random.uniform(1, 4)
        away = np.abs((hours - at + 12) % 24 - 12)
        base = random.uniform(0.05, 0.6)
        weekend = np.where(np.arange(days) >= 5, random.uniform(0.4, 1.2), 1.0)
        shape = np.concatenate(
            [factor * (base + (1 - base) * np.exp(-0.5 * (away / width) ** 2)) for factor in weekend]
        )
        shape *= random.lognormal(0, 0.05, shape.size)
        peak = float(np.clip(random.lognormal(2.3, 0.9), 1, 200))
        demands.append(
            Demand(
                f"Deployment/made-up/w{index:04}",
                shape / shape.max() * peak,
                float(random.choice([0.1, 0.25, 0.5, 1.0, 2.0, 4.0])),
                priority=int(random.random() < urgent),
            )
        )
    return demands


def of_one_size(workloads: int, replicas: int, seed: int) -> list[Demand]:
    """The same days, each with a peak of so many replicas."""
    return [
        Demand(one.workload, one.replicas / one.replicas.max() * replicas, one.cpu_cores)
        for one in made_up(workloads, seed, days=1)
    ]


def real(folder: Path, seed: int, *, each: int = 20) -> list[Demand]:
    """Workloads that each planned from some week of a real series (the quantile that the operator takes)."""
    random = np.random.default_rng(seed)
    demands = []
    for path in sorted(folder.glob("*.csv.gz")):
        with gzip.open(path, "rt") as file:
            rows = [(float(row["ts"]), float(row["value"])) for row in csv.DictReader(file)]
        times, values = np.array(rows).T
        sampling = max(STEP_SECONDS, int(np.median(np.diff(times))))
        days = int((times.max() - times.min()) // DAY_SECONDS) - HISTORY_DAYS
        for index in range(each):
            begin = times.min() + int(random.integers(max(days, 0) + 1)) * DAY_SECONDS
            past = (times >= begin) & (times < begin + HISTORY_DAYS * DAY_SECONDS)
            cycle = cycle_of(times[past], values[past], step_seconds=sampling)
            if cycle is None or cycle.values.max() <= 0:
                continue
            steps = np.repeat(cycle.values, sampling // STEP_SECONDS)
            peak = float(np.clip(random.lognormal(2.3, 0.9), 1, 200))
            demands.append(
                Demand(
                    f"Deployment/{path.name.removesuffix('.csv.gz')}/w{index:02}",
                    steps / steps.max() * peak,
                    float(random.choice([0.1, 0.25, 0.5, 1.0, 2.0, 4.0])),
                )
            )
    return demands


def compared(demands: Sequence[Demand], share: float, limit: float) -> dict[str, Any]:
    """All contenders on one scenario."""
    result = timed(demands, share)
    plan = allocate(demands, capacity_cores=result["capacity_cores"], target_utilization=TARGET)
    bound, seconds, gap, room = 0.0, 0.0, 0.0, np.full(plan.owned_load.size, plan.usable_cores)
    for group in by_priority(demands):
        kept = [plan.thresholds[one.workload] for one in group]
        # Those that come later have what our own plan left to them, in both.
        one = bound_of(group, np.maximum(room, 0), kept, limit_seconds=limit)
        bound, seconds = bound + one.core_steps, seconds + one.seconds
        gap = max(gap, one.core_steps / max(one.reached_core_steps, 1e-9) - 1)
        room = room - load_of(group, kept)
    result["lp_ratio"] = round(plan.used_core_steps / bound, 5)
    result["lp"] = {"core_steps": round(bound, 1), "gap": round(gap, 6), "seconds": round(seconds, 2)}
    for name, contender in (("greedy_by_duty", greedy_by_duty), ("same_percentile", same_percentile)):
        begun = time.perf_counter()
        used, room = np.zeros(plan.owned_load.size), np.full(plan.owned_load.size, plan.usable_cores)
        for group in by_priority(demands):
            load = load_of(group, contender(group, room))
            used, room = used + load, room - load
        result[name] = {
            "lp_ratio": round(float(used.sum()) / bound, 5),
            "steps_above_target": above(used, plan.usable_cores),
            "seconds": round(time.perf_counter() - begun, 2),
        }
    # What a share of everybody's peak, worked out from the sums alone, does to the fullest step.
    total = sum(one.peak * one.cpu_cores for one in demands)
    flat = load_of(demands, [round(one.peak * plan.usable_cores / total) for one in demands])
    common_peak = result["peak_cores"]
    at_peak = load_of(demands, [round(one.peak * plan.usable_cores / common_peak) for one in demands])
    result["same_share_of_peaks"] = {
        "lp_ratio": round(float(flat.sum()) / bound, 5),
        "steps_above_target": above(flat, plan.usable_cores),
    }
    result["same_share_of_common_peak"] = {
        "steps_above_target": above(at_peak, plan.usable_cores),
        "fullest_over_target": round(float(at_peak.max()) / plan.usable_cores, 4),
    }
    return result


def timed(demands: Sequence[Demand], share: float, *, node_cores: float | None = None) -> dict[str, Any]:
    """Our allocation alone, with the bound that it proves itself; on nodes of this size, if one is given."""
    peak = float(load_of(demands, [one.peak for one in demands]).max())
    nodes = math.ceil(share * peak / TARGET / (node_cores or 1.0))
    capacity = share * peak / TARGET if node_cores is None else nodes * node_cores
    # A replica uses the target's share of its request.
    requests = {one.workload: Requests(one.cpu_cores / TARGET) for one in demands}
    rooms = None if node_cores is None else Nodes((NodeGroup(count=nodes, cores=node_cores),))
    begun = time.perf_counter()
    plan = allocate_placeable(demands, requests, rooms, capacity_cores=capacity, target_utilization=TARGET).allocation
    seconds = time.perf_counter() - begun
    # Not the plan's word for it: added up again from its thresholds.
    load = load_of(demands, [plan.thresholds[one.workload] for one in demands])
    return {
        "workloads": len(demands),
        "steps": load.size,
        "levels": sum(one.peak for one in demands),
        "peak_cores": round(peak, 1),
        "capacity_cores": capacity,
        "ours": {
            "own_bound_ratio": round(min(1.0, float(load.sum()) / plan.bound_core_steps), 5),
            "steps_above_target": above(load, capacity * TARGET),
            "seconds": round(seconds, 2),
        },
    }


def whole(demands: Sequence[Demand], share: float, *, node_cores: float | None = None) -> dict[str, Any]:
    """As `timed`, and the time of the whole plan as the operator makes it from histories that are read and folded.

    With prices of owned, elastic and virtual nodes, so that it includes the part on elastic nodes, the savings, and the
    advice on how many nodes to own.
    """
    result = timed(demands, share, node_cores=node_cores)
    capacity = result["capacity_cores"]
    size = node_cores or NODE_CORES
    policy = PolicyNeed(
        name="online",
        target=TARGET,
        fixed_node_hour=0.5,
        elastic_node_hour=0.8,
        virtual_core_hour=0.08,
        virtual_gib_hour=0.0,
        currency="USD",
        elastic_cores=4 * size,
        elastic_node_cores=size,
    )
    needs = [
        WorkloadNeed(
            workload=one.workload,
            policy=policy.name,
            stance=Stance.AUTO,
            replicas=one.peak,
            request_cores=one.cpu_cores / TARGET,
            request_gib=0.0,
            load=TARGET,
        )
        for one in demands
    ]
    request = PlanRequest(
        now=0.0,
        capacity_cores=capacity,
        node_cores=size,
        nodes=() if node_cores is None else (NodeGroup(count=round(capacity / size), cores=size),),
        policies=(policy,),
        workloads=tuple(needs),
    )
    pasts = {
        one.workload: Past(Cycle(one.replicas, 100), float(one.replicas.max()), HISTORY_DAYS * DAY_SECONDS)
        for one in demands
    }
    begun = time.perf_counter()
    solve(request, pasts)
    return result | {"plan_seconds": round(time.perf_counter() - begun, 2)}


def by_priority(demands: Sequence[Demand]) -> list[list[Demand]]:
    """Groups of one priority, the highest first."""
    ordered = sorted(demands, key=lambda one: -one.priority)
    return [list(group) for _, group in groupby(ordered, key=lambda one: one.priority)]


def load_of(demands: Sequence[Demand], counts: Sequence[int]) -> Series:
    """Cores in use on owned nodes at each step."""
    load = np.zeros(demands[0].replicas.size)
    for one, count in zip(demands, counts, strict=True):
        load += one.owned_load(count)
    return load


def above(load: Series, usable: float) -> int:
    """Steps at which the load is above what may be used."""
    return int((load > usable * (1 + ROUNDING)).sum())


def greedy_by_duty(demands: Sequence[Demand], room: Series) -> Counts:
    """What is needed for the largest share of the day first, as long as it fits."""
    needed = [one.whole_replicas() for one in demands]
    counts, left = [0] * len(demands), room * (1 + ROUNDING / 10)
    heap = [(-int((rows >= 1).sum()), index, 1) for index, rows in enumerate(needed)]
    heapq.heapify(heap)
    while heap:
        _, index, level = heapq.heappop(heap)
        needs = needed[index] >= level
        cores = demands[index].cpu_cores
        if level > demands[index].peak or left.min(initial=np.inf, where=needs) < cores:
            continue
        left = left - cores * needs
        counts[index] = level
        heapq.heappush(heap, (-int((needed[index] >= level + 1).sum()), index, level + 1))
    return counts


def same_percentile(demands: Sequence[Demand], room: Series) -> Counts:
    """Everybody at the same percentile of their own demand, the highest at which all fits."""
    needed = [one.whole_replicas() for one in demands]

    def counts(percentile: float) -> Counts:
        return [
            int(np.quantile(rows, percentile, method="lower") * scale)
            for rows, scale in zip(needed, scales, strict=True)
        ]

    def fits() -> bool:
        return bool((load_of(demands, counts(high)) <= room * (1 + ROUNDING)).all())

    scales, high = [1.0] * len(needed), 0.0
    if not fits():
        # Not even everybody's valley fits: the same part of each valley.
        part = float((room / np.maximum(load_of(demands, counts(0.0)), 1e-9)).min())
        scales = [max(part, 0.0)] * len(needed)
        return counts(0.0)
    low, upper = 0.0, 1.0
    for _ in range(12):
        high = (low + upper) / 2
        low, upper = (high, upper) if fits() else (low, high)
    return counts(low)


if __name__ == "__main__":
    typer.run(main)
