"""The class that governs a pod's placement: whether it may be changed, and how long it waits.

Contract: placement applies only to classes that set `threshold` or `placement`; pods of other classes are ignored here.
For a pod whose template is not watched (for example a Job's) only the policy is known, by its mark: it waits for the
longest time among the policy's classes.
"""

from dataclasses import dataclass

from spillway.api.elasticpolicy import Placement, WorkloadClass
from spillway.controllers.base import World
from spillway.domain.model.records import PodRecord


@dataclass(frozen=True, slots=True)
class Governed:
    """The policy that governs a pod's placement."""

    policy: str
    enforced: bool
    spill_after: float
    """The `spillAfter` of its class in seconds."""


def governed(world: World, pod: PodRecord) -> Governed | None:
    """The policy that places this pod; None if no policy does."""
    replicaset = world.state.replicasets.get(pod.owner_uid)
    if replicaset is not None:
        claim = world.claim_of(replicaset)
        found = world.governance.class_of(claim) if claim is not None else None
        if claim is None or found is None or not found.places_pods:
            return None
        return Governed(claim.policy, claim.enforced, _spill_after(found))
    policy = world.governance.policies.get(pod.policy)
    classes = [one for one in (() if policy is None else policy.spec.workloads) if one.places_pods]
    if policy is None or not classes:
        return None
    return Governed(pod.policy, policy.spec.enforced, max(map(_spill_after, classes)))


def _spill_after(workload_class: WorkloadClass) -> float:
    return float((workload_class.placement or Placement()).spill_after.seconds)
