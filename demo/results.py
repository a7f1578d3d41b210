"""The results of a run: one JSON-compatible mapping per contender, read by summary, page and bench."""

import os
import platform
from collections import Counter
from collections.abc import Sequence
from typing import Any

from demo import costs
from demo.contenders import DAY, Contender
from demo.day import Scene
from demo.measure import (
    Sample,
    Writes,
    exactness,
    node_hours,
    per_contender,
    percentile,
    pod_hours,
    served,
    skew_figures,
)
from demo.plans import Verdict
from demo.scaledowns import ScaleDown
from demo.scenario import HOURS
from spillway.domain.model.names import Tier

LISTED_MISSES = 200
_OWN_STATUS = frozenset({"elasticpolicies/status", "virtualnodebudgets/status", "zonalbalances/status"})


def day_figures(scene: Scene) -> dict[str, dict[str, Any]]:
    """The day's figures of every contender."""
    downs = [down for down in scene.observer.tracker.finished if down.namespace.startswith(f"{DAY}-")]
    figures = {
        contender.value: _figures(scene, contender, per_contender(downs, contender)) for contender in scene.contenders
    }
    for name, values in figures.items():
        values["cost"]["saving_against_plain"] = costs.saving(figures, name)
    return figures


def judged(scene: Scene, contender: Contender, downs: list[ScaleDown]) -> dict[str, Any]:
    """How exact a contender's scale-downs were.

    Spillway is compared with the plans that the operator made; `second_opinion` is the plan that the observer computes,
    as for the other contenders.
    """
    if not contender.operated:
        return exactness(downs)
    verdicts = [scene.plans.verdict(down, scene.epoch) for down in downs]
    plans = [plan for verdict in verdicts for plan in verdict.plans]
    return {
        **exactness([verdict.down for verdict in verdicts]),
        "misses": misses(verdicts),
        "scale_downs_without_plan": sum(not verdict.plans for verdict in verdicts),
        "plans_by_outcome": dict(Counter(plan.outcome for plan in plans)),
        "plans_let_go": dict(Counter(plan.let_go for plan in plans if plan.let_go)),
        "cost_writes_while_held": sum(plan.writes for plan in plans),
        "hold_ms": _milliseconds([plan.hold_seconds for plan in plans]),
        "settle_ms": _milliseconds([plan.settle_seconds for plan in plans]),
        "second_opinion": {
            key: value
            for key, value in exactness(downs).items()
            if key in {"planned_victims_deleted", "planned_ready_deleted", "planned_ratio"}
        },
    }


def _milliseconds(seconds: list[float]) -> dict[str, float]:
    quantiles = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {name: round(1000 * percentile(seconds, fraction), 1) for name, fraction in quantiles.items()}


def extra_writes(writes: Writes, victims: int) -> dict[str, Any]:
    """The operator's writes for each deleted pod, without Leases and Events; also those on others' alone."""
    on_others = sum(count for resource, count in writes.by_resource.items() if resource not in _OWN_STATUS)
    return {
        "extra_api_writes_per_deleted_pod": round(writes.total / victims, 3) if victims else 0.0,
        "extra_api_writes_on_others_per_deleted_pod": round(on_others / victims, 3) if victims else 0.0,
        "extra_api_writes": dict(writes.by_resource),
        "refused_api_writes": writes.refused,
    }


def _writes(scene: Scene, contender: Contender, victims: int) -> dict[str, Any]:
    """The operator's writes for this contender alone, although one operator acts for several."""
    if scene.audit is None:
        return {"extra_api_writes_per_deleted_pod": None}
    return extra_writes(scene.writes.get(contender, Writes()), victims)


def _figures(scene: Scene, contender: Contender, downs: list[ScaleDown]) -> dict[str, Any]:
    samples = [sample for sample in scene.observer.samples[contender] if sample.at <= scene.wall_seconds]
    exact = judged(scene, contender, downs)
    rhythm = scene.day.seconds_per_hour
    elastic = node_hours(scene.observer.lifetimes(contender), until=scene.wall_seconds, seconds_per_hour=rhythm)
    virtual = pod_hours(samples, Tier.VIRTUAL, rhythm)
    return {
        "cost": costs.cost(hours=HOURS, elastic_node_hours=elastic, virtual_pod_hours=virtual),
        **exact,
        "elastic_node_hours": round(elastic, 2),
        "elastic_nodes_max": max((sample.elastic_nodes for sample in samples), default=0),
        "virtual_pod_hours": round(virtual, 2),
        "pods_max": max((sample.total for sample in samples), default=0),
        "evictions": None if scene.audit is None else scene.audit.evictions[contender],
        "dips": scene.observer.dips.count[contender],
        **served(samples, scene.observer.waits(contender), scene.wall_seconds),
        **skew_figures(samples),
        **_writes(scene, contender, exact["victims"]),
    }


def day_series(scene: Scene) -> dict[str, list[dict[str, float | None]]]:
    """Demand, forecast and capacity of every contender over the day."""
    return {contender.value: series(scene.observer.samples[contender]) for contender in scene.contenders}


def series(samples: Sequence[Sample], every_seconds: float = 5.0) -> list[dict[str, float | None]]:
    """What was seen about every so many seconds, in cores."""
    found: list[dict[str, float | None]] = []
    due = 0.0
    for sample in samples:
        if sample.at >= due:
            due = sample.at + every_seconds
            found.append(
                {
                    "at_seconds": round(sample.at, 1),
                    "load_cores": round(sample.load_cores, 1),
                    "unmet_cores": round(sample.unmet_cores, 2),
                    "ready_cores": round(sample.ready_cores, 1),
                    "forecast_cores": None if sample.forecast_cores is None else round(sample.forecast_cores, 1),
                    "headroom_cores": round(sample.headroom_cores, 1),
                    "elastic_nodes": sample.elastic_nodes,
                }
            )
    return found


def misses(verdicts: list[Verdict]) -> list[dict[str, Any]]:
    """Each ready victim that was not in the plan, with what explains it."""
    found = []
    for verdict in verdicts:
        down = verdict.down
        for victim in down.victims:
            if not victim.ready or victim.planned:
                continue
            found.append(
                {
                    "workload": f"{down.namespace}/{down.workload}",
                    "at_seconds": round(down.began, 1),
                    "replicas": [down.before, down.after],
                    "pod": victim.name,
                    "tier": victim.tier.value if victim.tier else "unassigned",
                    "zone": victim.zone,
                    "cost": victim.cost,
                    "why": verdict.explain(victim),
                }
            )
    return found[:LISTED_MISSES]


def ran_on(scene: Scene) -> dict[str, Any]:
    """The environment in which the figures were measured."""
    version = scene.cluster.rest.get("/version")
    prices = {price.key: f"{price.amount:g} a {price.per}" for price in costs.PRICES}
    return {
        "seed": scene.day.seed,
        "workloads": len(scene.day.workloads),
        "day_seconds": scene.day.seconds,
        "wall_seconds": round(scene.wall_seconds, 1),
        "seconds_per_hour": round(scene.day.seconds_per_hour, 2),
        "kubernetes": version["gitVersion"],
        "python": platform.python_version(),
        "machine": {"cpus": os.cpu_count(), "system": platform.system(), "architecture": platform.machine()},
        "prices": {"currency": costs.CURRENCY} | prices,
        "nodes": {
            "fixed": "6 of 12 CPU",
            "elastic": "8 CPU, Karpenter, WhenEmpty (plain-drain: WhenEmptyOrUnderutilized)",
            "virtual": "1 a zone",
        },
        "foresight": None if scene.foresight is None else scene.foresight.about(),
        "contenders_side_by_side": [contender.value for contender in scene.contenders],
    }
