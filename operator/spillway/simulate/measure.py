"""The measurements of a replay."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from spillway.domain.balance.skew import zone_skew
from spillway.domain.model.names import PodUid, Tier
from spillway.domain.model.units import HOUR_SECONDS
from spillway.domain.scale_down.candidates import Candidate
from spillway.simulate.scenario import STEP_SECONDS

Requested = tuple[float, float]
"""CPU in cores and memory in GiB."""


@dataclass(slots=True)
class Measures:
    """The counts of one replay; `summary` gives the reported figures."""

    victims: int = 0
    planned_victims_deleted: int = 0
    virtual_first_violations: int = 0
    rollout_victims: int = 0
    evictions: int = 0
    moves: int = 0
    """Pods that were moved by surge."""
    moves_given_up: int = 0
    dips: int = 0
    """Evictions and moves after which a workload had fewer ready replicas than requested."""
    requested: list[tuple[Requested, ...]] = field(default_factory=list)
    """By step and zone: what pods on fixed and elastic nodes request."""
    elastic_node_steps: int = 0
    virtual_pod_steps: int = 0
    pending_steps: int = 0
    steps: int = 0
    step_seconds: int = STEP_SECONDS
    created: int = 0
    writes_born: int = 0
    writes_scale_down: int = 0
    writes_rollout: int = 0
    writes_at_rest: int = 0
    idle_writes: int = 0
    """Of those, the ones on workloads whose pods have not changed for five minutes."""
    skews: list[int] = field(default_factory=list)
    """The zone skew of the remaining pods after each scale-down."""
    avoidable_skews: list[int] = field(default_factory=list)
    """By how much the skew exceeded both 1 and the smallest possible skew."""
    elastic_nodes: list[int] = field(default_factory=list)
    """By step."""
    scale_downs_without_write: int = 0

    def scale_down(self, candidates: Sequence[Candidate], gone: Sequence[PodUid], planned: Sequence[PodUid]) -> None:
        """Count one scale-down: the deleted pods, and those that should have been deleted."""
        went, should = frozenset(gone), frozenset(planned)
        self.victims += len(went)
        self.planned_victims_deleted += len(went & should)
        if any(c.tier is Tier.VIRTUAL and c.ready and c.uid not in went for c in candidates):
            self.virtual_first_violations += sum(
                c.uid in went and c.ready and c.tier is not Tier.VIRTUAL for c in candidates
            )
        zones = {c.zone for c in candidates if c.zone}
        left = zone_skew(Counter(c.zone for c in candidates if c.uid not in went), zones)
        self.skews.append(left)
        self.avoidable_skews.append(
            left - min(left, max(1, zone_skew(Counter(c.zone for c in candidates if c.uid not in should), zones)))
        )

    def add(self, other: "Measures") -> None:
        """Add the counts of another replay of the same contender."""
        for name in self.__slots__:
            if name != "step_seconds":
                setattr(self, name, getattr(self, name) + getattr(other, name))

    def summary(self) -> dict[str, float]:
        """The figures by the names of the report."""
        deleted = max(self.victims + self.rollout_victims, 1)
        writes = self.writes_born + self.writes_scale_down + self.writes_rollout + self.writes_at_rest
        hours = self.step_seconds / HOUR_SECONDS
        skews = np.array(self.skews or [0])
        return {
            "victims": self.victims,
            "planned_victims_deleted": self.planned_victims_deleted,
            "virtual_first_violations": self.virtual_first_violations,
            "elastic_node_hours": round(self.elastic_node_steps * hours, 2),
            "evictions": self.evictions,
            "moves": self.moves,
            "moves_given_up": self.moves_given_up,
            "dips": self.dips,
            "zone_skew_max": int(skews.max()),
            "zone_skew_p99": float(np.percentile(skews, 99)),
            "extra_api_writes_per_deleted_pod": round(writes / deleted, 4),
            "idle_writes_per_minute": round(self.idle_writes / max(self.steps * self.step_seconds / 60, 1), 4),
            "zone_skew_avoidable_max": max(self.avoidable_skews, default=0),
            "zone_skew_avoidable": sum(skew > 0 for skew in self.avoidable_skews),
            "scale_downs": len(self.skews),
            "scale_downs_without_write": self.scale_downs_without_write,
            "rollout_victims": self.rollout_victims,
            "created": self.created,
            "writes_born": self.writes_born,
            "writes_scale_down": self.writes_scale_down,
            "writes_rollout": self.writes_rollout,
            "writes_at_rest": self.writes_at_rest,
            "virtual_pod_hours": round(self.virtual_pod_steps * hours, 2),
            "pending_pod_minutes": round(self.pending_steps * self.step_seconds / 60, 1),
            "elastic_nodes_max": max(self.elastic_nodes, default=0),
            "elastic_nodes_mean": round(float(np.mean(self.elastic_nodes or [0])), 2),
        }
