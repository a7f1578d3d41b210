"""Which workloads are read in one pass of a planner of moves, so that none keeps the others from being read.

Contract: for each reason to move pods, at most `LOOKS` workloads are read. Those of the plan come first, of these the
ones that were never read, and no namespace has more than `NAMESPACE_LOOKS` while workloads of another one have to be
read. A workload that was never read counts as movable only while it may be read in this pass. The other reads are for
workloads with a reason that are due to be read again: of each namespace the one that was read longest ago, then the
next one of each. Until then, they count as they were read the last time.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from spillway.controllers.balance.workload_looks import WorkloadLooks
from spillway.domain.model.names import OwnerUid
from spillway.domain.model.records import PodRecord, ReplicaSetRecord
from spillway.domain.surge.hindrance import Left

LOOKS: Final = 20
"""Workloads that are read from the API server in one pass; the others are read in the next ones."""
NAMESPACE_LOOKS: Final = 5
"""Those of one namespace, while workloads of other namespaces have to be read as well."""


class LookTurns:
    """The reads of one pass: as long as workloads are read, the plan shows which ones have to be."""

    def __init__(self, looks: WorkloadLooks) -> None:
        self._looks = looks
        self._left = LOOKS
        self._share = NAMESPACE_LOOKS
        self._over_share = False
        """Whether a namespace has more workloads that have to be read than its share."""
        self._read: Counter[str] = Counter()
        self._again: dict[OwnerUid, tuple[ReplicaSetRecord, PodRecord]] = {}
        """The workloads with a reason that are due to be read again."""

    def is_known(self, owner: ReplicaSetRecord) -> bool:
        """Whether a workload was read, or may be in this pass."""
        return self._looks.get(owner.uid) is not None or self._may_read(owner)

    def reason(self, owner: ReplicaSetRecord, pod: PodRecord) -> Left | None:
        """Why no pod of a ReplicaSet, such as this one, is moved, as far as its workload was read."""
        reason = self._looks.reason(owner.uid)
        if reason is not None and self._looks.due(owner.uid):
            self._again[owner.uid] = owner, pod
        return reason

    async def read(self, planned: Iterable[tuple[ReplicaSetRecord, PodRecord]]) -> bool:
        """Read workloads of a plan, or else again; False if none is to be read, so that the plan is the final one.

        Raises:
            RequestError: the API server is not reached, or answers no request now.
        """
        due = [(owner, pod) for owner, pod in planned if self._looks.due(owner.uid)]
        found = False
        for owner, pod in sorted(due, key=lambda one: self._looks.get(one[0].uid) is not None):
            if self._may_read(owner):
                found = True
                await self._read_one(owner, pod)
        if found:
            return True
        if self._left and self._over_share and self._share < LOOKS:
            self._share = LOOKS
            return True
        again = self._longest_ago()[: self._left]
        for owner, pod in again:
            await self._read_one(owner, pod)
        return bool(again)

    async def _read_one(self, owner: ReplicaSetRecord, pod: PodRecord) -> None:
        self._left -= 1
        self._read[owner.namespace] += 1
        await self._looks.read(owner, pod)

    def _longest_ago(self) -> Sequence[tuple[ReplicaSetRecord, PodRecord]]:
        due = [one for uid, one in self._again.items() if self._looks.due(uid)]
        before: Counter[str] = Counter()
        ranked: list[tuple[int, float, OwnerUid]] = []
        for at, uid in sorted((self._read_at(owner.uid), owner.uid) for owner, _ in due):
            namespace = self._again[uid][0].namespace
            ranked.append((before[namespace], at, uid))
            before[namespace] += 1
        return [self._again[uid] for _, _, uid in sorted(ranked)]

    def _read_at(self, owner: OwnerUid) -> float:
        look = self._looks.get(owner)
        return 0.0 if look is None else look.at

    def _may_read(self, owner: ReplicaSetRecord) -> bool:
        may = self._read[owner.namespace] < self._share
        self._over_share = self._over_share or not may
        return may and self._left > 0
