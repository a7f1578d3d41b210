"""The number of replicas that a workload requests, the same during a rollout and without one.

Contract: it is the number that the user or an autoscaler asks for: `spec.replicas` of the Deployment or Rollout, as its
controller notes it on each ReplicaSet that it scales. The old and the new ReplicaSets of a rollout ask for more in sum
(by `maxSurge`, by a whole set of pods with blue-green) and for none in the middle of a `Recreate`. kube-state-metrics
counts the same (`kube_deployment_spec_replicas`), so histories of both can be merged.

A number costs nothing to write, so not all of it is demand: replicas that the API server refuses, as a ResourceQuota
does, will not run, and whoever may change a ReplicaSet can note on it a number that its owner never asked for.
"""

from spillway.domain.model.records import OwnerRecord, ReplicaSetRecord


def requested_replicas(newest: OwnerRecord, total: int) -> int:
    """The replicas of a workload by its newest ReplicaSet; `total` of all of them where no owner notes a number."""
    return total if newest.desired is None else newest.desired


def creatable_replicas(replicaset: ReplicaSetRecord, pods: int) -> int:
    """The replicas of one ReplicaSet that have `pods` or can get one: while creations are refused, those that exist."""
    return min(replicaset.replicas, pods) if replicaset.refused else replicaset.replicas


def demanded_replicas(requested: int, *, creatable: int, pods: int) -> int:
    """The replicas of a workload that count as demand, of those that it requests.

    `creatable` are those of all its ReplicaSets; `pods` are all that it has. Between the pods of a `Recreate` no
    ReplicaSet asks for any, and the old ones are still there.
    """
    return min(requested, max(creatable, pods))
