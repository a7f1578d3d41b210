"""What was read of workloads of which pods may be moved: the nodes that their pods may use, and why none is moved.

Contract: it reads the objects of workloads through the controller of moves by surge, and never writes. Which are read
in one pass is the caller's decision (`LookTurns`). A reason counts until it is read again, which is due after
`LOOK_SECONDS` for those that may pass, and each time after twice as long, up to `LONGEST_LOOK_SECONDS`, while it is the
same. A workload that cannot be read although the API server answers, because of what is in its namespace, is left for
that reason and holds up no other. The nodes are those for a pod as it is admitted: each pass begins with `refresh`,
which finds out what resources that have changed add to pods now. What bounds the replicas of a namespace is read once
in a pass.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from spillway.controllers.surge.moves import SurgeMovesController, admitted_fit
from spillway.controllers.surge.namespace_bounds import NamespaceBounds
from spillway.controllers.surge.scaler import itself
from spillway.domain.fit.placement import placement
from spillway.domain.model.backoff import backoff_seconds
from spillway.domain.model.documents import Json
from spillway.domain.model.names import OwnerUid
from spillway.domain.model.records import NamespaceRecord, NodeRecord, PodRecord, ReplicaSetRecord
from spillway.domain.policies.governance import Governance
from spillway.domain.surge.hindrance import PASSING, Left, stays_on_its_node
from spillway.kube.errors import RequestError
from spillway.kube.slices import in_slices
from spillway.state.node_room import PodFit

LOOK_SECONDS: Final = 300.0
"""So long counts what was read of a workload; the surge itself reads it again."""
LONGEST_LOOK_SECONDS: Final = 1200.0
"""So long counts a reason at most that was read again and again."""
_LASTING: Final = frozenset({Left.DO_NOT_DISRUPT, Left.VOLUMES})
"""Reasons in the pod template, which the owner of a ReplicaSet never changes: for another one it makes another."""


@dataclass(frozen=True, slots=True)
class WorkloadLook:
    """What was read of one workload."""

    at: float
    reason: Left | None
    lasting: bool
    """Whether the reason counts as long as the ReplicaSet is there."""
    spec: Json | None = None
    """What of its pod template decides where its pods may run (`placement`); None if it is not known."""
    fit: PodFit | None = None
    """The nodes for one more of its pods."""
    admission: tuple[Governance | None, NamespaceRecord | None] = (None, None)
    """By what these pods are admitted."""
    times: int = 1
    """How many times in a row this reason was read."""


class WorkloadLooks:
    """What one planner of moves has read of workloads."""

    def __init__(self, surges: SurgeMovesController, now: Callable[[], float]) -> None:
        self._surges = surges
        self._now = now
        self._looks: dict[OwnerUid, WorkloadLook] = {}
        self._bounds = NamespaceBounds(surges.scaler)

    def get(self, owner: OwnerUid) -> WorkloadLook | None:
        """What is known of the workload of a ReplicaSet; None if it was never read."""
        return self._looks.get(owner)

    async def read(self, owner: ReplicaSetRecord, pod: PodRecord) -> None:
        """Read the workload of a ReplicaSet, for the move of one of its pods.

        Raises:
            RequestError: the API server is not reached, or answers no request now.
        """
        try:
            look = await self._look(owner, pod)
        except RequestError as error:
            if error.retryable:
                raise
            self._surges.log.warning("a workload cannot be read, it is left", key=owner.key, error=str(error))
            look = WorkloadLook(self._now(), Left.UNREAD, lasting=False)
        before = self._looks.get(owner.uid)
        if before is not None and look.reason is not None and look.reason is before.reason:
            look = replace(look, times=before.times + 1)
        self._looks[owner.uid] = look

    async def _look(self, owner: ReplicaSetRecord, pod: PodRecord) -> WorkloadLook:
        present, reason = await self._surges.examine(owner, pod, self._bounds)
        if present is None or present["metadata"]["uid"] != owner.uid:
            # During a rollout, and after one that the watch does not show yet, a Deployment has another template.
            present = await self._surges.scaler.workload(itself(owner))
        spec: Json | None = None
        if present is not None:
            template = present["spec"]["template"]
            spec = placement(template.get("spec") or {})
            # What passes by itself is read from the state.
            reason = stays_on_its_node(template) or (None if reason in PASSING else reason)
        lasting = reason in _LASTING and bool(owner.owner_uid)
        return self._admitted(WorkloadLook(self._now(), reason, lasting, spec), owner)

    def _admitted(self, look: WorkloadLook, owner: ReplicaSetRecord) -> WorkloadLook:
        """The look, with the nodes for a pod as it is admitted now."""
        world = self._surges.world
        admission = world.governance, world.state.namespaces.get(owner.namespace)
        if look.spec is None or all(now is then for now, then in zip(admission, look.admission, strict=True)):
            return look
        return replace(look, fit=admitted_fit(world, owner, look.spec), admission=admission)

    def admits(self, owner: OwnerUid, node: NodeRecord) -> bool:
        """Whether the pods of a ReplicaSet may run on a node, by their own constraints; unknown counts as yes."""
        look = self._looks.get(owner)
        return look is None or look.fit is None or look.fit.admits(node)

    def reason(self, owner: OwnerUid) -> Left | None:
        """Why no pod of a ReplicaSet is moved, as far as its workload was read; None if nothing is known against it."""
        look = self._looks.get(owner)
        return None if look is None else look.reason

    def due(self, owner: OwnerUid) -> bool:
        """Whether the workload has to be read, for the first time or again."""
        look = self._looks.get(owner)
        if look is None or look.lasting:
            return look is None
        counts = backoff_seconds(look.times, first=LOOK_SECONDS, longest=LONGEST_LOOK_SECONDS)
        return not 0 <= self._now() - look.at <= counts

    async def refresh(self) -> None:
        """Forget the ReplicaSets that are gone, and find out what the present resources add to pods of the others."""
        owners, self._bounds = self._surges.world.state.replicasets, NamespaceBounds(self._surges.scaler)
        async for uid, look in in_slices(list(self._looks.items())):
            owner = owners.get(uid)
            if owner is None:
                self._looks.pop(uid, None)
            elif (present := self._admitted(look, owner)) is not look and self._looks.get(uid) is look:
                self._looks[uid] = present
