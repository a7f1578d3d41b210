"""Who governs a pod's placement: whether anything may be done for it, and how long it is waited for.

Contract: placement acts only for classes that set `threshold` or `placement`; a pod of any other is nobody's here. Of a
pod whose template we do not watch (a Job's, say) only the policy is known, by our mark: it is waited for as long as the
most patient of the policy's classes asks.
"""

from dataclasses import dataclass

from spillway.api.elasticpolicy import Placement, WorkloadClass
from spillway.controllers.base import World
from spillway.domain.model.records import PodRecord


@dataclass(frozen=True, slots=True)
class Governed:
    """The policy that places a pod."""

    policy: str
    enforced: bool
    spill_after: float
    """Seconds."""


def governed(world: World, pod: PodRecord) -> Governed | None:
    """Who places this pod; None where nobody does."""
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
