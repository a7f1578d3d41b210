"""When a virtual replica is brought back to physical nodes, and what the next step of doing so is.

Contract: pure. A workload is brought back one replica at a time: a *surge* asks for one replica more, which lands on a
physical node; once every replica is ready the workload is scaled back by one, and the order of scale-downs takes a
virtual one. So there are never fewer ready replicas than the workload asks for. Only the one replica that the surge
added is ever taken back: whoever scales meanwhile is right. A surge begins only where the workload stood still for some
time with a replica to bring back and room for it, and one that failed is tried again later and later.
"""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, Self

LONGEST_BACKOFF_SECONDS: Final = 6 * 3600.0
FORGOTTEN_SECONDS: Final = 24 * 3600.0
"""An older mark is not believed any more: `kubectl rollout undo` may have copied it from an old ReplicaSet."""
STUCK_SECONDS: Final = 10.0
"""How long a surge's replica may find no node; a pre-emption takes less."""

_MARK: Final = re.compile(r"replicas=([0-9]{1,9}) physical=([0-9]{1,9}) since=(\S{1,40})", re.ASCII)


class Left(StrEnum):
    """Why a workload with replicas to bring back is left as it is."""

    SETTLING = "Settling"
    """It, or the room, has not been as it is for long enough; or the last try failed a short time ago."""
    NO_ROOM = "NoRoom"
    """No physical node has room for one of its replicas."""
    ROLLOUT = "RolloutInProgress"
    PAUSED = "Paused"
    NOT_READY = "NotReady"
    """Some replica is not ready: the surge would end with that one deleted."""
    AUTOSCALER_AT_MAXIMUM = "AutoscalerAtMaximum"
    """Its HorizontalPodAutoscaler allows no replica more, and would take the surge back."""
    FOREIGN_WRITER = "ForeignWriter"
    """Somebody else writes its deletion costs, so it is not known which replica would go."""
    CANNOT_SURGE = "CannotSurge"
    """A kind that cannot run one replica more for a while, such as a StatefulSet or a Job."""


class SurgeOutcome(StrEnum):
    """How a surge ended."""

    BROUGHT_BACK = "BroughtBack"
    NO_ROOM = "NoRoom"
    """The scheduler found no node for the replica more."""
    NOT_READY = "NotReady"
    """Not every replica became ready in time."""
    NO_GAIN = "NoGain"
    """The replica more came up, and not on a physical node."""
    OVERTAKEN = "Overtaken"
    """Somebody else scaled the workload meanwhile, and what they asked for stands."""
    WITHDRAWN = "Withdrawn"
    """The policy does not ask for it any more."""
    FORGOTTEN = "Forgotten"
    """The mark was too old to tell whose the replica more is."""


@dataclass(frozen=True, slots=True)
class ReplicaSplit:
    """A workload's replicas, by where they are."""

    replicas: int
    """Asked for."""
    threshold: int | None
    """Replicas to keep on physical nodes; None for all of them."""
    physical: int
    """Active on fixed and elastic nodes, or on their way there."""
    virtual: int
    """Active on virtual nodes."""

    @property
    def missing(self) -> int:
        """How many virtual replicas belong on physical nodes."""
        wanted = self.replicas if self.threshold is None else min(self.replicas, self.threshold)
        return max(0, min(self.virtual, wanted - self.physical))


@dataclass(frozen=True, slots=True)
class BringBackMemory:
    """What is remembered of one workload between two looks. A new leader begins with none, and waits again."""

    replicas: int = 0
    since: float | None = None
    """Since when, without a break, there was a replica to bring back, room for it, and no rise of what is asked for."""
    failures: int = 0
    """In a row."""
    not_before: float = 0.0

    def observed(self, standing: ReplicaSplit, *, room: bool, now: float) -> Self:
        """After one more look. A rise says that demand grows and the room is about to be needed: wait anew."""
        could = standing.missing > 0 and room
        rose = standing.replicas > self.replicas
        since = (now if self.since is None or rose else self.since) if could else None
        return replace(self, replicas=standing.replicas, since=since)

    def due(self, now: float, hold_seconds: float) -> bool:
        """Whether a surge may begin."""
        return self.since is not None and now - self.since >= hold_seconds and now >= self.not_before

    def ended(self, outcome: SurgeOutcome, now: float, hold_seconds: float) -> Self:
        """After a surge. Success lets the next replica follow at once, failure waits twice as long each time."""
        if outcome is SurgeOutcome.BROUGHT_BACK:
            return replace(self, failures=0, not_before=now)
        pause = min(LONGEST_BACKOFF_SECONDS, hold_seconds * 2 ** min(self.failures, 20))
        return replace(self, since=None, failures=self.failures + 1, not_before=now + pause)


@dataclass(frozen=True, slots=True)
class Surge:
    """One replica more, as the mark on the ReplicaSet tells it, so that another leader can end what one began."""

    replicas: int
    """Asked for before."""
    physical: int
    """Of those, on physical nodes."""
    since: float

    @property
    def mark(self) -> str:
        """The annotation's value."""
        since = datetime.fromtimestamp(int(self.since), tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return f"replicas={self.replicas} physical={self.physical} since={since}"

    @classmethod
    def parse(cls, mark: str) -> Self | None:
        """Of an annotation's value; None where it is none of ours."""
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
    """How a surging workload stands now."""

    asked: int
    """Replicas asked for, read from the API server and not from a cache."""
    active: int
    ready: int
    physical: int
    """Ready on physical nodes."""
    unschedulable_seconds: float = 0.0
    """How long the scheduler has found no node for one of its pods."""
    wanted: bool = True
    """Whether the policy still asks for it."""


class Step(StrEnum):
    """What is to be done about a surge now."""

    WAIT = "wait"
    SHRINK = "shrink"
    """Take back the one replica that the surge added."""
    FORGET = "forget"
    """Take the mark off: there is nothing of ours to take back."""


def next_step(
    surge: Surge, progress: Progress, now: float, patience_seconds: float
) -> tuple[Step, SurgeOutcome | None]:
    """The next step of a surge, and how it ends by that; None while it has not ended.

    What is asked for decides first: unless it is exactly one more than before the surge, somebody else has scaled, or
    we have taken our replica back already, and nothing is ours to take.
    """
    if progress.asked != surge.replicas + 1:
        return Step.FORGET, SurgeOutcome.OVERTAKEN
    if now - surge.since > FORGOTTEN_SECONDS:
        return Step.FORGET, SurgeOutcome.FORGOTTEN
    ends = _end(surge, progress, now, patience_seconds)
    return (Step.WAIT, None) if ends is None else (Step.SHRINK, ends)


def _end(surge: Surge, progress: Progress, now: float, patience_seconds: float) -> SurgeOutcome | None:
    """Why the replica is taken back now; None where it is waited for."""
    if not progress.wanted:
        return SurgeOutcome.WITHDRAWN
    # All of them: one that is not ready would go first, whatever its cost.
    if progress.ready == progress.active == progress.asked:
        return SurgeOutcome.BROUGHT_BACK if progress.physical > surge.physical else SurgeOutcome.NO_GAIN
    if progress.unschedulable_seconds >= STUCK_SECONDS:
        return SurgeOutcome.NO_ROOM
    return SurgeOutcome.NOT_READY if now - surge.since > patience_seconds else None
