"""The figures of `bench_foresight`: pure functions of what was seen of each contender.

Contract: times are Unix seconds. What begins before the played part or lasts beyond it counts as far as it lies within.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

from demo.measure import percentile
from spillway.simulate.backtest.scalings import scale_downs

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wait:
    """A pod that was created in the played part."""

    created: float
    ready: float | None = None
    """None while it is not."""
    seen: float = 0.0
    """When it was seen last: a pod that never became ready has waited at least until then."""

    @property
    def seconds(self) -> float:
        return max((self.seen if self.ready is None else self.ready) - self.created, 0.0)


@dataclass(frozen=True, slots=True)
class Moment:
    """A contender at one time. Amounts are cores."""

    at: float
    demand: float
    unmet: float
    used: float
    allocatable: float
    """Of the nodes that exist and are ready."""
    replicas: int = 0
    ready: int = 0
    elastic_nodes: int = 0
    """Those that were ordered and are not gone, whether they are ready or not."""
    headroom: int = 0
    """Units that the policy's status says are needed."""
    headroom_ready: int = 0
    """Of these, units that the status says are ready."""


@dataclass(slots=True)
class Seen:
    """Everything that was seen of one contender."""

    waits: dict[str, Wait] = field(default_factory=dict)
    """By the pod's uid."""
    moments: list[Moment] = field(default_factory=list)
    replicas: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    """By workload: when it asked for another number of replicas, and for how many."""
    nodes: dict[str, tuple[float, float]] = field(default_factory=dict)
    """By NodeClaim: when it was created, and when it was seen last."""

    def pods(self, pods: Iterable[Object], since: float, now: float) -> None:
        """Note how long pods that were created from `since` on have waited."""
        for pod in pods:
            created = _seconds(pod["metadata"]["creationTimestamp"])
            if created >= since:
                uid = pod["metadata"]["uid"]
                known = self.waits.get(uid)
                ready = known.ready if known is not None and known.ready is not None else ready_since(pod)
                self.waits[uid] = Wait(created, ready, now)

    def asked(self, workload: str, replicas: int, now: float) -> None:
        """Note the number of replicas that a workload asks for."""
        steps = self.replicas.setdefault(workload, [])
        if not steps or steps[-1][1] != replicas:
            steps.append((now, replicas))

    def claims(self, claims: Iterable[Object], now: float) -> None:
        """Note the machines that are there."""
        for claim in claims:
            self.nodes[claim["metadata"]["uid"]] = (_seconds(claim["metadata"]["creationTimestamp"]), now)


def is_ready(item: Object) -> bool:
    """Whether a pod or a node is ready."""
    return _ready_condition(item).get("status") == "True"


def ready_since(item: Object) -> float | None:
    """Since when a pod is ready; None while it is not."""
    return _seconds(_ready_condition(item)["lastTransitionTime"]) if is_ready(item) else None


def _ready_condition(item: Object) -> Object:
    conditions: list[Object] = item.get("status", {}).get("conditions") or []
    return next((one for one in conditions if one["type"] == "Ready"), {})


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def integral(moments: Sequence[Moment], amount: str) -> float:
    """An amount over time, in its unit times seconds; each moment counts until the next one."""
    return float(sum(getattr(now, amount) * (later.at - now.at) for now, later in pairwise(moments)))


def node_hours(nodes: Iterable[tuple[float, float]], start: float, end: float) -> float:
    """The hours that machines were there between `start` and `end`, from their order to their deletion."""
    return sum(max(min(gone, end) - max(ordered, start), 0.0) for ordered, gone in nodes) / 3600


def figures(seen: Seen, start: float, end: float) -> dict[str, Any]:
    """The figures of one contender."""
    waits = [wait.seconds for wait in seen.waits.values() if wait.created <= end]
    downs = [scale_downs(steps) for steps in seen.replicas.values()]
    demand, allocatable = integral(seen.moments, "demand"), integral(seen.moments, "allocatable")
    return {
        "pods_created": len(waits),
        "pods_never_ready": sum(wait.ready is None for wait in seen.waits.values()),
        "pending_p50_s": round(percentile(waits, 0.5), 1),
        "pending_p99_s": round(percentile(waits, 0.99), 1),
        "pending_mean_s": round(sum(waits) / len(waits), 1) if waits else 0.0,
        "unmet_percent": round(100 * integral(seen.moments, "unmet") / demand, 2) if demand else 0.0,
        "scale_downs": sum(all_of_them for all_of_them, _ in downs),
        "needless_scale_downs": sum(needless for _, needless in downs),
        "elastic_node_hours": round(node_hours(seen.nodes.values(), start, end), 2),
        "elastic_nodes_max": max((moment.elastic_nodes for moment in seen.moments), default=0),
        "mean_cpu_percent": round(100 * integral(seen.moments, "used") / allocatable, 1) if allocatable else 0.0,
        "series": series(seen.moments, start),
    }


def series(moments: Sequence[Moment], start: float, every_seconds: float = 30.0) -> list[dict[str, float]]:
    """What was seen about every half minute, for a chart or an explanation."""
    found: list[dict[str, float]] = []
    due = start
    for moment in moments:
        if moment.at >= due:
            due = moment.at + every_seconds
            found.append(
                {
                    "minute": round((moment.at - start) / 60, 2),
                    "demand_cores": round(moment.demand, 1),
                    "unmet_cores": round(moment.unmet, 1),
                    "replicas": moment.replicas,
                    "ready": moment.ready,
                    "elastic_nodes": moment.elastic_nodes,
                    "headroom": moment.headroom,
                    "headroom_ready": moment.headroom_ready,
                }
            )
    return found


def goals(found: Mapping[str, Mapping[str, Any]], day: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each goal beside what was measured, or modelled for the whole day."""
    ours, theirs = found.get("spillway"), found.get("reactive")
    if ours is None or theirs is None:
        return []
    ratio = round(ours["pending_p99_s"] / theirs["pending_p99_s"], 3) if theirs["pending_p99_s"] else 0.0
    busy = day["spillway"]["mean_cpu_percent"]
    needless = ours["needless_scale_downs"]
    return [
        {"goal": "mean CPU of the nodes over the day: at least 60 %", "modelled": busy, "met": busy >= 60},
        {"goal": "pending p99 against reactive: under 0.1", "measured": ratio, "met": ratio < 0.1},
        {
            "goal": "fewer needless scale-downs than reactive",
            "measured": needless,
            "met": needless < theirs["needless_scale_downs"],
        },
        {
            "goal": "less unmet demand than reactive",
            "measured": ours["unmet_percent"],
            "met": ours["unmet_percent"] < theirs["unmet_percent"],
        },
    ]
