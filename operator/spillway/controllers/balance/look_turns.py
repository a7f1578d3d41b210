"""Which workloads are read in one pass of a planner of moves, so that none keeps the others from being read.

Contract: at most `LOOKS` workloads are read. Workloads that were never read come before those that are read again, and
no namespace has more than `NAMESPACE_LOOKS` while workloads of another one have to be read. A workload that was never
read counts as movable only while it may be read in this pass; one that is due to be read again counts, until it is its
turn, as it was read the last time.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from spillway.controllers.balance.workload_looks import WorkloadLooks
from spillway.domain.model.records import PodRecord, ReplicaSetRecord
from spillway.domain.surge.hindrance import Left

LOOKS: Final = 20
"""Workloads that are read from the API server in one pass; the others are read in the next ones."""
NAMESPACE_LOOKS: Final = 5
"""Those of one namespace, while workloads of other namespaces have to be read as well."""
_ROUNDS: Final = ((False, NAMESPACE_LOOKS), (True, NAMESPACE_LOOKS), (False, LOOKS), (True, LOOKS))
"""Whether workloads with a reason are read again, and how many are read in one namespace."""


class LookTurns:
    """The reads of one pass: as long as workloads are read, the plan shows which ones have to be."""

    def __init__(self, looks: WorkloadLooks) -> None:
        self._looks = looks
        self._left = LOOKS
        self._rounds = iter(_ROUNDS)
        self._again, self._share = next(self._rounds)
        self._read: Counter[str] = Counter()
        self._read_before = False
        """Whether there are workloads with a reason that are due to be read again."""
        self._over_share = False
        """Whether a namespace has more workloads that have to be read than its share."""

    def is_known(self, owner: ReplicaSetRecord) -> bool:
        """Whether a workload was read, or may be in this pass."""
        return self._looks.get(owner.uid) is not None or self._may_read(owner)

    def reason(self, owner: ReplicaSetRecord) -> Left | None:
        """Why no pod of a ReplicaSet is moved, as far as its workload was read; None also if it is its turn again."""
        reason = self._looks.reason(owner.uid)
        if reason is None or not self._looks.due(owner.uid):
            return reason
        self._read_before = True
        return None if self._again and self._may_read(owner) else reason

    async def read(self, planned: Iterable[tuple[ReplicaSetRecord, PodRecord]]) -> bool:
        """Read the workloads of a plan whose turn it is; False if there is none, so that the plan is the final one.

        Raises:
            RequestError: the API server is not reached, or answers no request now.
        """
        due = [(owner, pod) for owner, pod in planned if self._looks.due(owner.uid)]
        found = False
        for owner, pod in sorted(due, key=lambda one: self._looks.get(one[0].uid) is not None):
            if self._may_read(owner):
                found = True
                self._left -= 1
                self._read[owner.namespace] += 1
                await self._looks.read(owner, pod)
        return found or self._next_round()

    def _next_round(self) -> bool:
        """Whether there is a round after this one in which more workloads might be read; it begins."""
        for again, share in self._rounds:
            if self._left and (self._read_before or not again) and (self._over_share or share == NAMESPACE_LOOKS):
                self._again, self._share = again, share
                return True
        return False

    def _may_read(self, owner: ReplicaSetRecord) -> bool:
        may = self._read[owner.namespace] < self._share
        self._over_share = self._over_share or not may
        return may and self._left > 0
