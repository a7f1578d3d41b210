"""The distinction of a rollout from a scale-down: whether a newer ReplicaSet is replacing an older one at this moment.

Contract: a newer ReplicaSet alone does not mean that the older one is being replaced. An aborted Argo Rollout keeps its
dead canary at the highest revision with 0 replicas, and a paused canary, a blue-green before its promotion and a
Deployment that is stuck on a bad image stay for days, while the autoscaler takes replicas from the older ReplicaSet,
which serves. So an older ReplicaSet is being replaced only while all of these hold:

- a newer one of the same owner wants replicas, or has just begun: without a surge the first step takes from the older
  one while the newer one still has 0;
- the newer one has grown since the owner was last scaled in: the step of a rollout takes from the older what the newer
  has got, a scale-in takes from both (Argo Rollouts in two updates: what it wants in all, and then the replicas);
- the newer one makes progress: it has grown, or a pod of it was created or has become ready, in `PROGRESS_SECONDS`.

An update that lowers what the owner wants in all is a scale-in, whatever else holds. Revisions are counted by
Deployments and Argo Rollouts; a rollback gives an old ReplicaSet a new, higher number.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from spillway.domain.model.names import OwnerUid
from spillway.domain.model.records import PodRecord, ReplicaSetRecord, fewer

PROGRESS_SECONDS: Final = 600.0
"""The default of a Deployment's `progressDeadlineSeconds`: a rollout that stands still for longer has failed."""
BEGINNING_SECONDS: Final = 10.0
"""How long a newer ReplicaSet that wants nothing yet counts as one that begins."""


def is_outgoing(replicaset: ReplicaSetRecord, siblings: Iterable[ReplicaSetRecord]) -> bool:
    """Whether a newer ReplicaSet of the same owner is wanted beside this one, moving or not."""
    return any(newer.replicas > 0 for newer in _successors(replicaset, siblings))


def replaced_until(
    replicaset: ReplicaSetRecord,
    siblings: Iterable[ReplicaSetRecord],
    pods_of: Callable[[OwnerUid], Iterable[PodRecord]],
) -> float:
    """Until when a newer ReplicaSet counts as replacing this one if nothing more happens; 0.0 if none does.

    In Unix seconds. `siblings` are the ReplicaSets of the same owner; this one may be among them. A ReplicaSet without
    owner or without revision is never replaced.
    """
    return max(
        (
            _last_progress(newer, pods_of(newer.uid)) + PROGRESS_SECONDS
            if newer.replicas > 0
            else newer.grew + BEGINNING_SECONDS
            for newer in _successors(replicaset, siblings)
            if not replicaset.desired_fell or newer.grew > replicaset.desired_fell
        ),
        default=0.0,
    )


def is_scale_in(replicaset: ReplicaSetRecord, *, before: int | None, after: int | None) -> bool:
    """Whether an update of this ReplicaSet lowers what its owner wants in all, from `before` to `after`.

    What the watch has shown counts as well: it may not have shown yet that the owner has noted less.
    """
    return fewer(after, before) or fewer(after, replicaset.desired)


def _successors(replicaset: ReplicaSetRecord, siblings: Iterable[ReplicaSetRecord]) -> Iterator[ReplicaSetRecord]:
    if not replicaset.owner_uid or not replicaset.revision:
        return
    for sibling in siblings:
        same_owner = sibling.owner_uid == replicaset.owner_uid and sibling.namespace == replicaset.namespace
        if same_owner and sibling.revision > replicaset.revision:
            yield sibling


def _last_progress(replicaset: ReplicaSetRecord, pods: Iterable[PodRecord]) -> float:
    return max((replicaset.grew, *(max(pod.created, pod.ready_since) for pod in pods if pod.active)))
