"""The number of replicas that a workload requests, the same during a rollout and without one.

Contract: it is the number that the user or an autoscaler asks for: `spec.replicas` of the Deployment or Rollout, as its
controller notes it on each ReplicaSet that it scales. The old and the new ReplicaSets of a rollout ask for more in sum
(by `maxSurge`, by a whole set of pods with blue-green) and for none in the middle of a `Recreate`. kube-state-metrics
counts the same (`kube_deployment_spec_replicas`), so histories of both can be merged.
"""

from spillway.domain.model.records import OwnerRecord, ReplicaSetRecord


def requested_replicas(newest: OwnerRecord, total: int) -> int:
    """The replicas of a workload by its newest ReplicaSet; `total` of all of them where no owner notes a number."""
    desired = newest.desired if isinstance(newest, ReplicaSetRecord) else None
    return total if desired is None else desired
