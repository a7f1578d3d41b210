"""Bring-back: when a virtual replica is brought back to physical nodes, and the next step of doing so.

Contract: pure. A workload is brought back one replica at a time: a *surge* requests one additional replica, which gets
a physical node; once every replica is ready the workload is scaled back by one, and the order of scale-downs takes a
virtual one. So there are never fewer ready replicas than the workload asks for. Only the one replica that the surge
added is ever removed: another client that scales in the meantime takes precedence. A surge starts only if the workload
was stable for some time with a replica to bring back and room for it; after a failure it is tried again with growing
delays. The workload that has been due for the longest has the next turn, so that workloads which cannot be brought back
delay others, but keep none from its turn.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, Self

from spillway.domain.model.backoff import backoff_seconds
from spillway.domain.model.names import OwnerUid
from spillway.domain.model.units import DAY_SECONDS

LONGEST_BACKOFF_SECONDS: Final = 6 * 3600.0
HINDERED_SECONDS: Final = 30.0
"""Seconds until a workload that could not surge is checked again for the first time."""
FORGOTTEN_SECONDS: Final = float(DAY_SECONDS)
"""The age in seconds from which on a mark is not trusted: `kubectl rollout undo` may have copied it from an old
ReplicaSet."""
STUCK_SECONDS: Final = 10.0
"""How long the additional replica may find no node, in seconds; a pre-emption takes less."""

_MARK: Final = re.compile(r"replicas=([0-9]{1,9}) physical=([0-9]{1,9}) since=(\S{1,40})", re.ASCII)


class Left(StrEnum):
    """Why no replica of a workload is brought back."""

    SETTLING = "Settling"
    """The workload or the room has not been stable for long enough, or the last try failed a short time ago."""
    NO_ROOM = "NoRoom"
    """No physical node has room for one of its replicas."""
    ROLLOUT = "RolloutInProgress"
    PAUSED = "Paused"
    NOT_READY = "NotReady"
    """Some replica is not ready: the surge would end with that one deleted."""
    AUTOSCALER_AT_MAXIMUM = "AutoscalerAtMaximum"
    """Its HorizontalPodAutoscaler allows no additional replica, and would undo the surge."""
    FOREIGN_WRITER = "ForeignWriter"
    """Another client writes its deletion costs, so it is not known which replica would be deleted."""
    CANNOT_SURGE = "CannotSurge"
    """A kind that cannot run an additional replica for a while, such as a StatefulSet or a Job."""


class SurgeOutcome(StrEnum):
    """How a surge ended."""

    BROUGHT_BACK = "BroughtBack"
    NO_ROOM = "NoRoom"
    """The scheduler found no node for the additional replica."""
    NOT_READY = "NotReady"
    """Not every replica became ready in time."""
    NO_GAIN = "NoGain"
    """The additional replica started, but not on a physical node."""
    OVERTAKEN = "Overtaken"
    """Another client scaled the workload in the meantime, and its number of replicas stays."""
    WITHDRAWN = "Withdrawn"
    """The policy no longer requests it."""
    FORGOTTEN = "Forgotten"
    """The mark was too old to know which replica the surge added."""


@dataclass(frozen=True, slots=True)
class ReplicaSplit:
    """A workload's replicas, by where they are."""

    replicas: int
    """Asked for."""
    threshold: int | None
    """Replicas to keep on physical nodes; None for all of them."""
    physical: int
    """Active pods on fixed and elastic nodes, or decided physical."""
    virtual: int
    """Active on virtual nodes."""

    @property
    def missing(self) -> int:
        """How many virtual replicas belong on physical nodes."""
        wanted = self.replicas if self.threshold is None else min(self.replicas, self.threshold)
        return max(0, min(self.virtual, wanted - self.physical))


@dataclass(frozen=True, slots=True)
class BringBackMemory:
    """The memory of one workload between two observations. A new leader starts without it, and waits again."""

    replicas: int = 0
    since: float | None = None
    """Since when there has been, without a break, a replica to bring back, room for it, and no increase of the
    requested replicas."""
    failures: int = 0
    """In a row."""
    hindrances: int = 0
    """How often in a row it had its turn and could not surge."""
    not_before: float = 0.0

    def observed(self, split: ReplicaSplit, *, room: bool, now: float) -> Self:
        """The memory after one more observation. The wait restarts if more replicas are requested."""
        could = split.missing > 0 and room
        rose = split.replicas > self.replicas
        since = (now if self.since is None or rose else self.since) if could else None
        return replace(self, replicas=split.replicas, since=since)

    def due_from(self, hold_seconds: float) -> float | None:
        """The time from which a surge may start; None while there is no room, or no replica to bring back."""
        return None if self.since is None else max(self.since + hold_seconds, self.not_before)

    def due(self, now: float, hold_seconds: float) -> bool:
        """Whether a surge may start."""
        due_from = self.due_from(hold_seconds)
        return due_from is not None and now >= due_from

    def hindered(self, now: float, hold_seconds: float) -> Self:
        """The memory after a turn in which it could not surge. Each one in a row doubles the wait, up to the hold."""
        first = min(HINDERED_SECONDS, hold_seconds)
        pause = backoff_seconds(self.hindrances + 1, first=first, longest=hold_seconds)
        return replace(self, hindrances=self.hindrances + 1, not_before=now + pause)

    def ended(self, outcome: SurgeOutcome, now: float, hold_seconds: float) -> Self:
        """The memory after a surge. After a success the next replica follows at once; each failure doubles the wait."""
        if outcome is SurgeOutcome.BROUGHT_BACK:
            return replace(self, failures=0, hindrances=0, not_before=now)
        pause = backoff_seconds(self.failures + 1, first=hold_seconds, longest=LONGEST_BACKOFF_SECONDS)
        return replace(self, since=None, failures=self.failures + 1, hindrances=0, not_before=now + pause)


def in_turn(due_from: Mapping[OwnerUid, float], now: float, free: int) -> list[OwnerUid]:
    """The workloads that have their turn now, at most `free`: those that have been due for the longest."""
    due = sorted((at, uid) for uid, at in due_from.items() if at <= now)
    return [uid for _, uid in due[: max(0, free)]]


@dataclass(frozen=True, slots=True)
class Surge:
    """A surge, as the mark on the ReplicaSet describes it, so that another leader can end it."""

    replicas: int
    """The replicas that were requested before."""
    physical: int
    """The replicas of those on physical nodes."""
    since: float

    @property
    def mark(self) -> str:
        """The annotation's value."""
        since = datetime.fromtimestamp(int(self.since), tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return f"replicas={self.replicas} physical={self.physical} since={since}"

    @classmethod
    def parse(cls, mark: str) -> Self | None:
        """The surge in an annotation's value; None if the value is not valid."""
        found = _MARK.fullmatch(mark)
        if found is None:
            return None
        try:
            since = datetime.fromisoformat(found[3]).timestamp()
        except (ValueError, OverflowError):
            return None
        return cls(int(found[1]), int(found[2]), since)


@dataclass(frozen=True, slots=True)
class Progress:
    """The present state of a surging workload."""

    asked: int
    """The requested replicas, read from the API server and not from a cache."""
    active: int
    ready: int
    physical: int
    """Ready on physical nodes."""
    unschedulable_seconds: float = 0.0
    """How long the scheduler has found no node for one of its pods."""
    wanted: bool = True
    """Whether the policy still requests it."""


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
    if now - surge.since > FORGOTTEN_SECONDS:
        return Step.FORGET, SurgeOutcome.FORGOTTEN
    ends = _end(surge, progress, now, patience_seconds)
    return (Step.WAIT, None) if ends is None else (Step.SHRINK, ends)


def _end(surge: Surge, progress: Progress, now: float, patience_seconds: float) -> SurgeOutcome | None:
    """Why the replica is removed now; None if the surge continues."""
    if not progress.wanted:
        return SurgeOutcome.WITHDRAWN
    # All of them must be ready: one that is not would be deleted first, whatever its cost.
    if progress.ready == progress.active == progress.asked:
        return SurgeOutcome.BROUGHT_BACK if progress.physical > surge.physical else SurgeOutcome.NO_GAIN
    if progress.unschedulable_seconds >= STUCK_SECONDS:
        return SurgeOutcome.NO_ROOM
    return SurgeOutcome.NOT_READY if now - surge.since > patience_seconds else None
