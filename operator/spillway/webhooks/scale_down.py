"""The plan of one scale-down: the victims, and the deletion costs to write so that Kubernetes chooses the same pods.

Contract: pure, except for reading the state. The number of victims is counted from the existing pods, not from the two
replica counts of the request, as the ReplicaSet controller counts. Victims of an earlier scale-down that still exist
(there are more pods than `old_replicas`) stay victims and count as gone, so that 40→35→30 in quick succession deletes
the same pods as one step 40→30. That needs no memory of the earlier plan, so it also holds if another replica made it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from spillway.domain.balance.zones import NO_WEIGHTS, ZoneWeights
from spillway.domain.model.names import PodUid
from spillway.domain.model.places import Claim
from spillway.domain.model.records import PodRecord, ReplicaSetRecord
from spillway.domain.scale_down.candidates import Candidate
from spillway.domain.scale_down.costs import cost_writes
from spillway.domain.scale_down.foreign_writer import foreign_cost
from spillway.domain.scale_down.kubernetes_order import kubernetes_victims
from spillway.domain.scale_down.ranking import Victim, plan_scale_down
from spillway.domain.scale_down.rollout import replaced_until
from spillway.state.node_places import NodePlaces
from spillway.state.scale_down_candidates import scale_down_candidates


@dataclass(frozen=True, slots=True)
class ScaleDown:
    """The plan of one request for the pods of one ReplicaSet."""

    candidates: Mapping[PodUid, Candidate]
    victims: tuple[Victim, ...]
    writes: Mapping[PodUid, int]
    mirror: bool
    """A step of a rollout: a newer ReplicaSet is replacing this one."""
    foreign: bool
    """Another client writes deletion costs on these pods: nothing may be written, and that client decides the
    victims."""


def plan_request(
    places: NodePlaces,
    claim: Claim,
    replicaset: ReplicaSetRecord,
    *,
    old_replicas: int,
    new_replicas: int,
    scale_in: bool,
    unseen: Mapping[PodUid, int],
    now: float,
    zone_weights: ZoneWeights = NO_WEIGHTS,
) -> ScaleDown:
    """Plan the scale-down of a ReplicaSet.

    `scale_in` says that the request scales its owner in, and so is not a step of a rollout. `unseen` are written costs
    that the watch has not shown yet; `zone_weights` are the zones that are preferred for the workload.
    """
    state = places.state
    pods = [_with_cost(pod, unseen.get(pod.uid)) for pod in state.active_pods_of(replicaset.uid)]
    candidates = scale_down_candidates(places, replicaset, claim, pods, zone_weights)
    mirror = not scale_in and replaced_until(replicaset, state.siblings_of(replicaset), state.pods_of) > now
    by_uid = {candidate.uid: candidate for candidate in candidates}
    doomed = {c.uid for c in kubernetes_victims(candidates, len(candidates) - old_replicas, now=now)}
    remaining = [candidate for candidate in candidates if candidate.uid not in doomed]
    plan = plan_scale_down(
        remaining, max(0, len(remaining) - new_replicas), max_skew=claim.max_skew, mirror=mirror, now=now
    )
    if any(foreign_cost(pod) for pod in pods):
        return ScaleDown(by_uid, plan.victims, {}, mirror, foreign=True)
    writes = cost_writes(candidates, doomed.union(plan.uids)) if plan.victims else {}
    # The first victims first, so that a deadline cuts off the end of the plan.
    rank = {uid: index for index, uid in enumerate(plan.uids)}
    ordered = dict(sorted(writes.items(), key=lambda write: rank.get(write[0], -1)))
    return ScaleDown(by_uid, plan.victims, ordered, mirror, foreign=False)


def _with_cost(pod: PodRecord, cost: int | None) -> PodRecord:
    return pod if cost is None else msgspec.structs.replace(pod, deletion_cost=cost, cost_written=cost)
