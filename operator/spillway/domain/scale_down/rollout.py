"""Telling a rollout from a scale-down: which ReplicaSets of a Deployment are on their way out."""

from collections.abc import Iterable

from spillway.domain.model.records import ReplicaSetRecord


def is_outgoing(replicaset: ReplicaSetRecord, siblings: Iterable[ReplicaSetRecord]) -> bool:
    """Return whether a newer ReplicaSet of the same owner replaces this one.

    `siblings` are the ReplicaSets of the same owner; this one may be among them. Deployments and Argo Rollouts number
    their ReplicaSets, and a rollback gives an old ReplicaSet a new, higher number; so the highest revision is always
    the one that stays. A ReplicaSet without owner or without revision is never replaced.
    """
    if not replicaset.owner_uid or not replicaset.revision:
        return False
    return any(
        sibling.revision > replicaset.revision
        for sibling in siblings
        if sibling.owner_uid == replicaset.owner_uid and sibling.uid != replicaset.uid
    )
