"""What became of planned scale-downs: how many pods went, and how many of them were the ones that the plans had named.

Contract: pure; the clock is passed in. A plan is followed until as many pods of its ReplicaSet have gone as it names,
or `FOLLOW_SECONDS`; a further plan for the same ReplicaSet in that time joins it. A pod that goes meanwhile counts
once, as planned or not. News of a plan may come after news of its pods: who went in the last `EARLY_SECONDS` is
remembered.
"""

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, NamedTuple

from spillway.domain.model.names import OwnerUid, PodUid

FOLLOW_SECONDS: Final = 30.0
"""A ReplicaSet controller that has not deleted by then was asked for something else since."""
EARLY_SECONDS: Final = 5.0


class ScaleDowns(NamedTuple):
    """A count of pods that went."""

    victims: int = 0
    as_planned: int = 0

    def plus(self, other: "ScaleDowns") -> "ScaleDowns":
        """Both together."""
        return ScaleDowns(self.victims + other.victims, self.as_planned + other.as_planned)

    def minus(self, other: "ScaleDowns") -> "ScaleDowns":
        """Without the others."""
        return ScaleDowns(self.victims - other.victims, self.as_planned - other.as_planned)


class Gone(NamedTuple):
    """A pod that went in a planned scale-down."""

    policy: str
    as_planned: bool


@dataclass(slots=True)
class _Open:
    """The plans for one ReplicaSet that are followed. `left` is how many pods are still to go."""

    policy: str
    planned: set[PodUid]
    left: int
    until: float


class Following:
    """Every plan under way. `now` is Unix seconds, as in the plans."""

    def __init__(self) -> None:
        self._open: dict[OwnerUid, _Open] = {}
        self._recent: deque[tuple[float, OwnerUid, PodUid]] = deque()

    def plan(
        self, owner: OwnerUid, policy: str, victims: Collection[PodUid], *, at: float, now: float
    ) -> tuple[Gone, ...]:
        """Follow a plan that was made `at` that time; returns who of it went before we heard of it."""
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
        """A pod of this ReplicaSet went; None where that was in no scale-down that we know of yet."""
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
