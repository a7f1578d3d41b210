"""Bring-back: when a virtual replica is brought back to physical nodes.

Contract: pure. A workload is brought back one replica at a time, by a surge (`domain.surge.steps`). A surge starts only
if the workload was stable for some time with a replica to bring back and room for it; after a failure it is tried again
with growing delays. The workload that has been due for the longest has the next turn, so that workloads which cannot be
brought back delay others, but keep none from its turn. A namespace in which fewer surges run comes before one with
more, so that no namespace uses all of them while others wait.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Self

from spillway.domain.model.backoff import backoff_seconds
from spillway.domain.model.names import OwnerUid
from spillway.domain.surge.steps import SurgeOutcome

LONGEST_BACKOFF_SECONDS: Final = 6 * 3600.0
HINDERED_SECONDS: Final = 30.0
"""Seconds until a workload that could not surge is checked again for the first time."""


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
        if outcome is SurgeOutcome.SUCCEEDED:
            return replace(self, failures=0, hindrances=0, not_before=now)
        pause = backoff_seconds(self.failures + 1, first=hold_seconds, longest=LONGEST_BACKOFF_SECONDS)
        return replace(self, since=None, failures=self.failures + 1, hindrances=0, not_before=now + pause)


@dataclass(frozen=True, slots=True)
class DueSurge:
    """A workload that may surge, its namespace, and the time from which it may."""

    uid: OwnerUid
    namespace: str
    at: float


def in_turn(waiting: Iterable[DueSurge], now: float, free: int, *, running: Iterable[str] = ()) -> list[OwnerUid]:
    """The workloads that have their turn now, at most `free`: those that have been due for the longest.

    `running` are the namespaces of the surges that go on, one for each.
    """
    taken = Counter(running)
    ranked: list[tuple[int, float, OwnerUid]] = []
    for one in sorted(waiting, key=lambda one: (one.at, one.uid)):
        if one.at <= now:
            ranked.append((taken[one.namespace], one.at, one.uid))
            taken[one.namespace] += 1
    return [uid for _, _, uid in sorted(ranked)[: max(0, free)]]
