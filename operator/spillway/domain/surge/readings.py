"""What was read of a surging workload, and when it is read again.

Contract: pure. Of the workload's object a surge needs a few numbers; all else is in the state and looked at in every
step. Whoever creates the workload decides how large its object is and for how long it surges, so the object is read
again only if the state has changed since, if replicas should be available by now, or else after a pause as long as
nothing has changed, up to `LONGEST_PAUSE_SECONDS`. It is read as well before anything is done (`SurgeRunner`).
"""

from dataclasses import dataclass, replace
from typing import Any, Final

from spillway.domain.model.documents import Json
from spillway.domain.model.records import ReplicaSetRecord
from spillway.domain.surge.steps import Progress

SHORTEST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 15.0
_FIELDS: Final = {
    "spec": ("replicas", "minReadySeconds", "progressDeadlineSeconds"),
    "status": ("availableReplicas",),
}


@dataclass(frozen=True, slots=True)
class SurgeReading:
    """What was read of a surging workload."""

    workload: Json
    """The fields of its object that a surge needs."""
    replicaset: ReplicaSetRecord
    progress: Progress
    """The progress at that time, without what follows from the clock alone."""
    changed: float
    """When any of these was seen to change last, or a replica was to become available."""
    due: float

    def holds(self, replicaset: ReplicaSetRecord, progress: Progress, now: float) -> bool:
        """Whether the workload need not be read again; `progress` is by this reading and the present state."""
        # It is never due later than that; if it seems so, the clock was set back.
        in_time = 0 < self.due - now <= LONGEST_PAUSE_SECONDS
        return in_time and replicaset == self.replicaset and _timeless(progress) == self.progress


def reading_of(
    workload: Json, replicaset: ReplicaSetRecord, progress: Progress, now: float, *, before: SurgeReading | None
) -> SurgeReading:
    """The reading of a workload's object, and when the next one is due; `before` is the last one of this surge."""
    kept = {part: _picked(workload.get(part) or {}, names) for part, names in _FIELDS.items()}
    timeless = _timeless(progress)
    same = before is not None and (before.replicaset, before.progress) == (replicaset, timeless)
    changed = before.changed if before is not None and same else now
    available = progress.ready_since + (kept["spec"].get("minReadySeconds") or 0) if progress.settling else 0.0
    if available <= now:
        changed = max(changed, available)
    due = now + min(max(now - changed, SHORTEST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
    return SurgeReading(kept, replicaset, timeless, changed, min(due, available) if available > now else due)


def _picked(part: Json, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: part[name] for name in names if name in part}


def _timeless(progress: Progress) -> Progress:
    return replace(progress, unschedulable_seconds=0.0)
