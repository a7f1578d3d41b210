"""Surges: the state of one, its mark on the ReplicaSet, and its next step.

Contract: pure. A surge requests one additional replica; once every replica is ready the workload is scaled back by one,
and the order of scale-downs takes the replica that the surge replaces. So there are never fewer ready replicas than the
workload asks for. Only the one replica that the surge added is ever removed: another client that scales in the meantime
takes precedence. A surge either replaces one chosen pod, or, to bring a replica back, whichever virtual one is deleted
first.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, Self

from spillway.domain.model.names import PodUid
from spillway.domain.model.records import PodRecord, ReplicaSetRecord
from spillway.domain.model.units import DAY_SECONDS

FORGOTTEN_SECONDS: Final = float(DAY_SECONDS)
"""The age in seconds from which on a mark is not trusted: `kubectl rollout undo` may have copied it from an old
ReplicaSet."""
FUTURE_SECONDS: Final = 300.0
"""How far in the future the time of a mark may be, in seconds: clocks differ by less. Anybody who may change the
ReplicaSet can write the mark, and with a time in the future its surge would never end."""
STUCK_SECONDS: Final = 10.0
"""How long the additional replica may find no node, in seconds; a pre-emption takes less."""

_MARK: Final = re.compile(
    r"replicas=(?P<replicas>[0-9]{1,9}) placed=(?P<placed>[0-9]{1,9}) since=(?P<since>\S{1,40})"
    r"(?: pod=(?P<pod>[0-9A-Za-z-]{1,64}) for=(?P<purpose>[A-Za-z]{1,32})/(?P<asker>[0-9a-z.-]{1,253}))?"
    r"(?: proof=[0-9a-f]{1,64})?",
    re.ASCII,
)


class Purpose(StrEnum):
    """What surges are for."""

    BRING_BACK = "BringBack"
    """A virtual replica is brought back to physical nodes."""
    REBALANCE = "Rebalance"
    """A pod of a busy node is moved to another one."""
    CONSOLIDATE = "Consolidate"
    """A pod is moved from an elastic node that is being emptied."""


_PURPOSES: Final = frozenset(Purpose)


class SurgeOutcome(StrEnum):
    """How a surge ended."""

    SUCCEEDED = "Succeeded"
    NO_ROOM = "NoRoom"
    """The scheduler found no node for the additional replica."""
    NOT_READY = "NotReady"
    """Not every replica became ready in time."""
    NO_GAIN = "NoGain"
    """The additional replica started, but not where it was to: on a virtual node, or beside the pod to be moved."""
    REFUSED = "Refused"
    """The API server refused the additional replica, as a ResourceQuota or a policy engine does, or answered the
    request for it with an error."""
    OVERTAKEN = "Overtaken"
    """Another client scaled the workload in the meantime, and its number of replicas stays."""
    NOT_DELETED = "NotDeleted"
    """The workload was scaled back and the chosen pod stays: another pod was deleted, or another client added a replica
    before."""
    WITHDRAWN = "Withdrawn"
    """It is not requested any more, its workload or its ReplicaSet was deleted, or the API server was not reached."""
    FORGOTTEN = "Forgotten"
    """The mark was too old, or too far in the future, to know which replica the surge added."""


@dataclass(frozen=True, slots=True)
class Surge:
    """A surge, as the mark on the ReplicaSet describes it, so that another leader can end it."""

    replicas: int
    """The replicas that were requested before."""
    placed: int
    """The ready replicas of those that were where they should be: on physical nodes, or not beside the chosen pod."""
    since: float
    pod: PodUid | None = None
    """The pod that it replaces; None for one that brings a replica back."""
    purpose: Purpose = Purpose.BRING_BACK
    asker: str = ""
    """The resource that requests the move of the chosen pod: the ZonalBalance or the ElasticPolicy."""

    @property
    def mark(self) -> str:
        """The annotation's value."""
        since = datetime.fromtimestamp(int(self.since), tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        chosen = f" pod={self.pod} for={self.purpose}/{self.asker}" if self.pod else ""
        return f"replicas={self.replicas} placed={self.placed} since={since}{chosen}"

    def is_recent(self, now: float) -> bool:
        """Whether the mark is young enough to know which replica the surge added."""
        return -FUTURE_SECONDS <= now - self.since <= FORGOTTEN_SECONDS

    @classmethod
    def parse(cls, mark: str) -> Self | None:
        """The surge in an annotation's value; None if the value is not valid."""
        found = _MARK.fullmatch(mark)
        if found is None or (found["pod"] and found["purpose"] not in _PURPOSES):
            return None
        try:
            since = datetime.fromisoformat(found["since"]).timestamp()
        except (ValueError, OverflowError):
            return None
        replicas, placed = int(found["replicas"]), int(found["placed"])
        if not found["pod"]:
            return cls(replicas, placed, since)
        return cls(replicas, placed, since, PodUid(found["pod"]), Purpose(found["purpose"]), found["asker"])


def newly_marked(old: ReplicaSetRecord | None, new: ReplicaSetRecord) -> bool:
    """Whether a ReplicaSet has got a mark of a surge, or another one."""
    return bool(new.surge) and (old is None or old.surge != new.surge)


def replaced_pod(mark: str) -> PodUid | None:
    """The pod that the surge of this mark replaces; None where there is no surge, or it replaces no chosen one."""
    surge = Surge.parse(mark) if mark else None
    return None if surge is None else surge.pod


@dataclass(frozen=True, slots=True)
class Progress:
    """The present state of a surging workload."""

    asked: int
    """The requested replicas, read from the API server and not from a cache."""
    active: int
    ready: int
    placed: int
    """Ready, and where they should be."""
    unschedulable_seconds: float = 0.0
    """How long the scheduler has found no node for one of its pods."""
    wanted: bool = True
    """Whether it is still requested."""
    refused: bool = False
    """Whether the API server refuses its pods."""
    settling: bool = False
    """Whether all of its pods are ready, and one has not been ready for `minReadySeconds`: of two ready pods a
    scale-down may take the one that is available."""
    ready_since: float = 0.0
    """When the last of its ready pods became ready."""


def progress_of(
    replicaset: ReplicaSetRecord,
    pods: Collection[PodRecord],
    now: float,
    *,
    asked: int,
    placed: int,
    wanted: bool,
    available: int | None = None,
) -> Progress:
    """The progress of a workload with these active pods; no more of them count as ready than are `available`."""
    waiting = (pod.pending for pod in pods if pod.pending is not None and not pod.node)
    since = (one.unschedulable_since for one in waiting if one.unschedulable_since)
    ready = sum(pod.ready for pod in pods)
    settling = available is not None and available < ready == len(pods)
    return Progress(
        asked=asked,
        active=len(pods),
        ready=ready if available is None else min(ready, available),
        placed=placed,
        unschedulable_seconds=max((now - at for at in since), default=0.0),
        wanted=wanted,
        refused=bool(replicaset.refused),
        settling=settling,
        ready_since=max((pod.ready_since for pod in pods if pod.ready), default=0.0),
    )


class Step(StrEnum):
    """The next step of a surge."""

    WAIT = "wait"
    SHRINK = "shrink"
    """Remove the one replica that the surge added."""
    FORGET = "forget"
    """Remove the mark: no replica of the surge is left to remove."""


def next_step(
    surge: Surge, progress: Progress, now: float, patience_seconds: float
) -> tuple[Step, SurgeOutcome | None]:
    """The next step of a surge, and how it ends by that; None while it has not ended.

    The requested replicas decide first: unless they are exactly one more than before the surge, another client has
    scaled, or the additional replica has been removed already, and none is left to remove.
    """
    if progress.asked != surge.replicas + 1:
        return Step.FORGET, SurgeOutcome.OVERTAKEN
    if not surge.is_recent(now):
        return Step.FORGET, SurgeOutcome.FORGOTTEN
    ends = _end(surge, progress, now, patience_seconds)
    return (Step.WAIT, None) if ends is None else (Step.SHRINK, ends)


def _end(surge: Surge, progress: Progress, now: float, patience_seconds: float) -> SurgeOutcome | None:
    """Why the replica is removed now; None if the surge continues."""
    if not progress.wanted and not progress.settling:
        return SurgeOutcome.WITHDRAWN
    # All of them must be ready: one that is not would be deleted first, whatever its cost.
    if progress.ready == progress.active == progress.asked:
        return SurgeOutcome.SUCCEEDED if progress.placed > surge.placed else SurgeOutcome.NO_GAIN
    if progress.refused and progress.active < progress.asked:
        return SurgeOutcome.REFUSED
    if progress.unschedulable_seconds >= STUCK_SECONDS:
        return SurgeOutcome.NO_ROOM
    return SurgeOutcome.NOT_READY if now - surge.since > patience_seconds else None
