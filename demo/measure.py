"""The figures of a run: pure functions of what was observed."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from demo.contenders import Contender
from demo.scaledowns import ScaleDown
from spillway.domain.model.names import Tier


@dataclass(frozen=True, slots=True)
class Sample:
    """One contender at one moment. `at` is seconds since the day began; counts are of ready or starting pods."""

    at: float
    hour: float
    pods: dict[str, int]
    """By tier, and `unassigned`."""
    elastic_nodes: int
    skews: tuple[int, ...]
    """Zone skew of each workload that is at rest: as many pods as asked for, all of them on a node."""
    load_cores: float
    ready_cores: float = 0.0
    """CPU requests of the ready pods."""
    unmet_cores: float = 0.0
    """Load of workloads beyond what their ready pods request."""
    forecast_cores: float | None = None
    """The load that is forecast; None for a contender without forecasts."""
    headroom_cores: float = 0.0
    """CPU requests for which room is to be kept free."""

    @property
    def skew_max(self) -> int:
        return max(self.skews, default=0)

    @property
    def total(self) -> int:
        return sum(self.pods.values())


@dataclass(slots=True)
class Writes:
    """API writes of one identity, by what was written; leases and events stand apart from the rest."""

    by_resource: Counter[str] = field(default_factory=Counter)
    refused: int = 0

    @property
    def total(self) -> int:
        return self.by_resource.total()

    def since(self, earlier: "Writes") -> "Writes":
        """What came after a copy taken earlier."""
        return Writes(self.by_resource - earlier.by_resource, self.refused - earlier.refused)

    def __add__(self, other: "Writes") -> "Writes":
        return Writes(self.by_resource + other.by_resource, self.refused + other.refused)


@dataclass(frozen=True, slots=True)
class Lifetime:
    """Of one elastic node, in seconds since the day began; `gone` is None while it is there."""

    name: str
    zone: str
    born: float
    gone: float | None = None


@dataclass(frozen=True, slots=True)
class PodWait:
    """Of one pod, in seconds since the day began: from its creation until it was ready, or gone without ever being."""

    created: float
    ended: float | None = None

    def seconds(self, until: float) -> float:
        """How long it waited; one that waits still, or was ready later, until then."""
        return max(min(until if self.ended is None else self.ended, until) - self.created, 0.0)


def percentile(values: Iterable[float], fraction: float) -> float:
    """The smallest value that at least `fraction` of the values do not exceed; 0.0 of nothing."""
    ordered = sorted(values)
    if not ordered:
        return 0.0
    return float(ordered[max(math.ceil(fraction * len(ordered)) - 1, 0)])


def node_hours(lifetimes: Iterable[Lifetime], *, until: float, seconds_per_hour: float) -> float:
    """The hours of the day for which elastic nodes stood between second 0 and `until`, summed over nodes."""
    seconds = 0.0
    for life in lifetimes:
        end = until if life.gone is None else min(life.gone, until)
        seconds += max(end - max(life.born, 0.0), 0.0)
    return seconds / seconds_per_hour


def pod_hours(samples: Sequence[Sample], tier: Tier, seconds_per_hour: float) -> float:
    """The pods of a tier, summed over the day's hours."""
    pairs = pairwise(samples)
    return sum(now.pods.get(tier, 0) * (later.at - now.at) for now, later in pairs) / seconds_per_hour


def served(samples: Sequence[Sample], waits: Iterable[PodWait], until: float) -> dict[str, Any]:
    """How long the pods that were created between seconds 0 and `until` waited, and the share of the load not met."""
    seconds = [wait.seconds(until) for wait in waits if 0.0 <= wait.created <= until]
    pairs = list(pairwise(samples))
    load = sum(now.load_cores * (later.at - now.at) for now, later in pairs)
    unmet = sum(now.unmet_cores * (later.at - now.at) for now, later in pairs)
    return {
        "pods_created": len(seconds),
        "pending_p50_s": round(percentile(seconds, 0.5), 1),
        "pending_p99_s": round(percentile(seconds, 0.99), 1),
        "unmet_ratio": round(unmet / load, 4) if load else 0.0,
    }


def exactness(downs: Sequence[ScaleDown]) -> dict[str, Any]:
    """How many victims went, how many of them the planner wanted, and each that it did not."""
    victims = [victim for down in downs for victim in down.victims]
    ready = [victim for victim in victims if victim.ready]
    return {
        "scale_downs": len(downs),
        "victims": len(victims),
        "victims_ready": len(ready),
        "planned_victims_deleted": sum(victim.planned for victim in victims),
        "planned_ready_deleted": sum(victim.planned for victim in ready),
        "planned_ratio": round(sum(victim.planned for victim in ready) / len(ready), 4) if ready else 1.0,
        "virtual_first_violations": sum(victim.violates_virtual_first for victim in victims),
        "victims_by_tier": {
            **{tier.value: sum(victim.tier is tier for victim in victims) for tier in Tier},
            "unassigned": sum(victim.tier is None for victim in victims),
        },
        "skew_after_max": max((down.skew for down in downs), default=0),
        "skew_above_possible": sum(down.skew > max(down.skew_possible, 1) for down in downs),
    }


def skew_figures(samples: Sequence[Sample]) -> dict[str, Any]:
    """Return `zone_skew_max` and `zone_skew_p99` over every workload at rest in every sample."""
    skews = [skew for sample in samples for skew in sample.skews]
    return {
        "zone_skew_max": max(skews, default=0),
        "zone_skew_p99": percentile(skews, 0.99),
        "zone_skew_above_1_share": round(sum(skew > 1 for skew in skews) / len(skews), 4) if skews else 0.0,
    }


def per_contender(downs: Iterable[ScaleDown], contender: Contender) -> list[ScaleDown]:
    return [down for down in downs if down.contender is contender]
