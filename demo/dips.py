"""Dips: ready pods that were lost while fewer ready ones than requested remained.

Contract: follows pods that stop being ready or begin to be deleted, whoever caused it. A scale-down lowers what is
requested first, and the watches of pods and of ReplicaSets are not ordered relative to each other, so each loss is
compared with the least that was requested from then on until `KNOWN_SECONDS` later. Times are the caller's clock.
"""

from collections import Counter, deque
from dataclasses import dataclass
from typing import Final

from demo.contenders import Contender
from spillway.domain.model.names import OwnerUid
from spillway.domain.model.records import PodRecord
from spillway.state.cluster import ClusterState

KNOWN_SECONDS: Final = 3.0


@dataclass(slots=True)
class _Loss:
    at: float
    contender: Contender
    owner: OwnerUid
    ready: int
    """The ready pods that remained."""
    requested: int


class Dips:
    """The dips of each contender's day."""

    def __init__(self, state: ClusterState) -> None:
        self._state = state
        self._open: deque[_Loss] = deque()
        self.count: Counter[Contender] = Counter()

    def pod_changed(self, contender: Contender, old: PodRecord | None, new: PodRecord | None, now: float) -> None:
        """Note a change of a pod that belongs to a contender's day."""
        if old is None or not _serves(old) or (new is not None and _serves(new)) or now <= 0.0:
            return
        ready = sum(map(_serves, self._state.active_pods_of(old.owner_uid)))
        self._open.append(_Loss(now, contender, old.owner_uid, ready, self._requested(old.owner_uid)))

    def tick(self, now: float) -> None:
        """Decide about the losses that are old enough."""
        for loss in self._open:
            loss.requested = min(loss.requested, self._requested(loss.owner))
        while self._open and now - self._open[0].at >= KNOWN_SECONDS:
            loss = self._open.popleft()
            self.count[loss.contender] += loss.ready < loss.requested

    def _requested(self, owner: OwnerUid) -> int:
        found = self._state.replicasets.get(owner)
        return 0 if found is None else found.replicas


def _serves(pod: PodRecord) -> bool:
    return pod.ready and pod.active
