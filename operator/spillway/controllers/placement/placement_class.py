"""The class that governs a pod's placement: whether it may be changed, and how long it waits.

Contract: placement applies only to classes that set `threshold` or `placement`; pods of other classes are ignored here.
For a pod whose template is not watched (for example a Job's) the policy in its mark counts if that may place pods of
its namespace, kind and labels: anybody can write the mark. It waits for the longest time among the policy's classes.
"""

from dataclasses import dataclass

from spillway.api.elasticpolicy import Placement
from spillway.controllers.base import World
from spillway.domain.model.records import PodRecord
from spillway.state.claims import placing_policies


@dataclass(frozen=True, slots=True)
class GovernedPlacement:
    """The policy that governs a pod's placement."""

    policy: str
    enforced: bool
    placement: Placement
    """That of its class; of a pod whose class is not known only `spillAfter` is."""

    @property
    def spill_after(self) -> float:
        """The `spillAfter` of its class in seconds."""
        return float(self.placement.spill_after.seconds)


def governed(world: World, pod: PodRecord) -> GovernedPlacement | None:
    """The policy that places this pod; None if no policy does."""
    owner = world.state.owner(pod.owner_uid)
    if owner is not None:
        claim = world.claim_of(owner)
        found = world.governance.placing_class(claim)
        if claim is None or found is None:
            return None
        return GovernedPlacement(claim.policy, claim.enforced, found.effective_placement)
    if pod.policy not in placing_policies(world.state, world.governance, pod):
        return None
    policy = world.governance.policies[pod.policy]
    classes = [one for one in policy.spec.workloads if one.places_pods]
    longest = max((one.effective_placement.spill_after for one in classes), key=lambda one: one.seconds)
    return GovernedPlacement(pod.policy, policy.spec.enforced, Placement(spill_after=longest))
