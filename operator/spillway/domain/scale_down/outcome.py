"""The outcomes of planned scale-downs: how many pods were deleted, and how many of them the plans had named.

Contract: pure; the clock is passed in. A plan is followed until as many pods of its ReplicaSet have gone as it names,
or `FOLLOW_SECONDS`; a further plan for the same ReplicaSet in that time joins it. A pod that is deleted in that time
counts once, as planned or not. A plan may be reported after its pods were deleted: the pods of the last `EARLY_SECONDS`
are remembered.
"""

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, NamedTuple

from spillway.domain.model.names import OwnerUid, PodUid

FOLLOW_SECONDS: Final = 30.0
"""A ReplicaSet controller that has not deleted the pods by then was scaled again since."""
EARLY_SECONDS: Final = 5.0


class ScaleDowns(NamedTuple):
    """Counts of deleted pods."""

    victims: int = 0
    as_planned: int = 0

    def plus(self, other: "ScaleDowns") -> "ScaleDowns":
        """The sum of both."""
        return ScaleDowns(self.victims + other.victims, self.as_planned + other.as_planned)

    def minus(self, other: "ScaleDowns") -> "ScaleDowns":
        """The difference."""
        return ScaleDowns(self.victims - other.victims, self.as_planned - other.as_planned)


class Gone(NamedTuple):
    """A pod that was deleted in a planned scale-down."""

    policy: str
    as_planned: bool


@dataclass(slots=True)
class _Open:
    """The plans for one ReplicaSet that are followed. `left` is the number of pods that are still to be deleted."""

    policy: str
    planned: set[PodUid]
    left: int
    until: float


class Following:
    """All plans that are followed. `now` is Unix seconds, as in the plans."""

    def __init__(self) -> None:
        self._open: dict[OwnerUid, _Open] = {}
        self._recent: deque[tuple[float, OwnerUid, PodUid]] = deque()

    def plan(
        self, owner: OwnerUid, policy: str, victims: Collection[PodUid], *, at: float, now: float
    ) -> tuple[Gone, ...]:
        """Follow a plan that was made `at` that time; returns its pods that were deleted before the report."""
        self._forget(now)
        known = self._open.get(owner)
        if known is None:
            self._open[owner] = _Open(policy, set(victims), len(victims), now + FOLLOW_SECONDS)
        else:
            known.planned.update(victims)
            known.left += len(victims)
            known.until = now + FOLLOW_SECONDS
        early = [entry for entry in self._recent if entry[1] == owner and (entry[0] >= at or entry[2] in victims)]
        for entry in early:
            self._recent.remove(entry)
        return tuple(filter(None, (self.gone(owner, uid, now=now) for _, _, uid in early)))

    def gone(self, owner: OwnerUid, uid: PodUid, *, now: float) -> Gone | None:
        """A pod of this ReplicaSet was deleted; None if that is part of no known scale-down."""
        self._forget(now)
        followed = self._open.get(owner)
        if followed is None:
            self._recent.append((now, owner, uid))
            return None
        as_planned = uid in followed.planned
        followed.planned.discard(uid)
        followed.left -= 1
        if followed.left <= 0:
            del self._open[owner]
        return Gone(followed.policy, as_planned)

    def _forget(self, now: float) -> None:
        while self._recent and self._recent[0][0] < now - EARLY_SECONDS:
            self._recent.popleft()
        for owner in [owner for owner, followed in self._open.items() if followed.until < now]:
            del self._open[owner]
