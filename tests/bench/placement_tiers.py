"""How many replicas stand in the wrong tier: counted from what an observer sees, by the rule that users are told. Pure.

Contract: of a ReplicaSet with n active pods and threshold T, min(n, T) belong on physical nodes (fixed or elastic) and
the others on virtual ones. A pod counts as wrong only where it stands: one that is on no node yet may still land right,
and is counted apart. No threshold (None) means that every pod belongs on physical nodes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

MINUTES: Final = 24 * 60


@dataclass(frozen=True, slots=True)
class Census:
    """Where the active pods of one ReplicaSet are."""

    physical: int
    virtual: int
    unassigned: int = 0

    @property
    def total(self) -> int:
        return self.physical + self.virtual + self.unassigned


@dataclass(frozen=True, slots=True)
class Count:
    """Pods at one moment, over all workloads."""

    wrong: int = 0
    total: int = 0
    unassigned: int = 0

    def __add__(self, other: "Count") -> "Count":
        return Count(self.wrong + other.wrong, self.total + other.total, self.unassigned + other.unassigned)

    @property
    def percent(self) -> float:
        """Pods in the wrong tier, of all active ones."""
        return 100 * self.wrong / self.total if self.total else 0.0


def wrong(census: Census, threshold: int | None) -> int:
    """The pods of a ReplicaSet that stand in the wrong tier."""
    physical = census.total if threshold is None else min(census.total, threshold)
    virtual = census.total - physical
    return max(census.physical - physical, 0) + max(census.virtual - virtual, 0)


def count(members: Iterable[tuple[Census, int | None]]) -> Count:
    """All ReplicaSets with their thresholds at one moment."""
    found = Count()
    for census, threshold in members:
        found += Count(wrong(census, threshold), census.total, census.unassigned)
    return found


def figures(by_minute: Sequence[Count | None]) -> dict[str, Any]:
    """What the minutes of a day come to; None stands for a minute of which there is no count."""
    counted = [minute for minute in by_minute if minute is not None]
    percents = [minute.percent for minute in counted]
    pods = sum(minute.total for minute in counted)
    return {
        "mean": round(sum(percents) / len(percents), 4) if percents else 0.0,
        "of_pod_minutes": round(100 * sum(minute.wrong for minute in counted) / pods, 4) if pods else 0.0,
        "max": round(max(percents, default=0.0), 3),
        "minutes_counted": len(counted),
        "minutes_above_1_percent": sum(percent > 1 for percent in percents),
        "minutes_above_0": sum(percent > 0 for percent in percents),
        "unassigned_max": max((minute.unassigned for minute in counted), default=0),
        "wrong_pods_by_minute": [None if minute is None else minute.wrong for minute in by_minute],
        "pods_by_minute": [None if minute is None else minute.total for minute in by_minute],
    }
