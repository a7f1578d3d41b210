"""What was read of workloads of which pods may be moved: the nodes that their pods may use, and why none is moved.

Contract: it reads the objects of workloads through the controller of moves by surge, and never writes. How many are
read in one pass is the caller's decision; `LOOKS` is what planners allow themselves. A reason counts until it is read
again, which is due after `LOOK_SECONDS` for those that may pass. A workload that cannot be read although the API server
answers, because of what is in its namespace, is left for that reason and holds up no other.
"""

from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Final

from spillway.controllers.surge.moves import SurgeMovesController
from spillway.controllers.surge.scaler import itself
from spillway.domain.model.names import OwnerUid
from spillway.domain.model.records import NodeRecord, PodRecord, ReplicaSetRecord
from spillway.domain.surge.hindrance import Left, stays_on_its_node
from spillway.kube.errors import RequestError
from spillway.state.node_room import PodFit

LOOK_SECONDS: Final = 300.0
"""So long counts what was read of a workload; the surge itself reads it again."""
LOOKS: Final = 20
"""Workloads that are read from the API server in one pass; the others are read in the next ones."""
PASSING: Final = frozenset({Left.SETTLING, Left.ROLLOUT, Left.NOT_READY})
"""Reasons that pass by themselves: a node that is being emptied waits for them."""
_LASTING: Final = frozenset({Left.DO_NOT_DISRUPT, Left.VOLUMES})
"""Reasons in the pod template, which the owner of a ReplicaSet never changes: for another one it makes another."""


@dataclass(frozen=True, slots=True)
class WorkloadLook:
    """What was read of one workload."""

    at: float
    reason: Left | None
    fit: PodFit | None
    lasting: bool
    """Whether the reason counts as long as the ReplicaSet is there."""


class WorkloadLooks:
    """What one planner of moves has read of workloads."""

    def __init__(self, surges: SurgeMovesController, now: Callable[[], float]) -> None:
        self._surges = surges
        self._now = now
        self._looks: dict[OwnerUid, WorkloadLook] = {}

    def get(self, owner: OwnerUid) -> WorkloadLook | None:
        """What is known of the workload of a ReplicaSet; None if it was never read."""
        return self._looks.get(owner)

    async def read(self, owner: ReplicaSetRecord, pod: PodRecord) -> None:
        """Read the workload of a ReplicaSet, for the move of one of its pods.

        Raises:
            RequestError: the API server is not reached, or answers no request now.
        """
        try:
            self._looks[owner.uid] = await self._look(owner, pod)
        except RequestError as error:
            if error.retryable:
                raise
            self._surges.log.warning("a workload cannot be read, it is left", key=owner.key, error=str(error))
            self._looks[owner.uid] = WorkloadLook(self._now(), Left.UNREAD, None, lasting=False)

    async def _look(self, owner: ReplicaSetRecord, pod: PodRecord) -> WorkloadLook:
        present, reason = await self._surges.examine(owner, pod)
        if present is None or present["metadata"]["uid"] != owner.uid:
            # During a rollout, and after one that the watch does not show yet, a Deployment has another template.
            present = await self._surges.scaler.workload(itself(owner))
        fit: PodFit | None = None
        if present is not None:
            template = present["spec"]["template"]
            fit = PodFit(template.get("spec") or {})
            # What passes by itself is read from the state.
            reason = stays_on_its_node(template) or (None if reason in PASSING else reason)
        lasting = reason in _LASTING and bool(owner.owner_uid)
        return WorkloadLook(self._now(), reason, fit, lasting)

    def admits(self, owner: OwnerUid, node: NodeRecord) -> bool:
        """Whether the pods of a ReplicaSet may run on a node, by their own constraints; unknown counts as yes."""
        look = self._looks.get(owner)
        return look is None or look.fit is None or look.fit.admits(node)

    def reason(self, owner: OwnerUid, *, again: bool) -> Left | None:
        """Why no pod of a ReplicaSet is moved, as far as its workload was read; None if nothing is known against it.

        With `again`, the workload can be read again, so a reason for which that is due does not count.
        """
        look = self._looks.get(owner)
        return None if look is None or (again and self.due(owner)) else look.reason

    def due(self, owner: OwnerUid) -> bool:
        """Whether the workload has to be read, for the first time or again."""
        look = self._looks.get(owner)
        return look is None or (not look.lasting and self._now() - look.at > LOOK_SECONDS)

    def forget_gone(self, owners: Container[OwnerUid]) -> None:
        """Forget the ReplicaSets that are not among these."""
        self._looks = {uid: look for uid, look in self._looks.items() if uid in owners}
