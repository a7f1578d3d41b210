"""The candidates of a ReplicaSet's scale-down, from the cluster's state: the same for admission and for the upkeep.

Contract: one candidate for each active pod, with the place of its node for the policy that governs the workload, its
place in the shared emptying order, and the pods of the same Deployment beside it. Where a ZonalBalance prefers zones
for new replicas of the workload, the candidates have these preferences; only the leader knows them.
"""

from collections.abc import Iterable

from spillway.domain.balance.zones import NO_WEIGHTS, ZoneWeights
from spillway.domain.model.places import Claim
from spillway.domain.model.records import PodRecord, ReplicaSetRecord
from spillway.domain.scale_down.candidates import Candidate, candidates_of, related_pods
from spillway.domain.surge.steps import replaced_pod
from spillway.state.node_places import NodePlaces


def scale_down_candidates(
    places: NodePlaces,
    replicaset: ReplicaSetRecord,
    claim: Claim,
    pods: Iterable[PodRecord],
    zone_weights: ZoneWeights = NO_WEIGHTS,
) -> tuple[Candidate, ...]:
    """The candidates among `pods`: those of the ReplicaSet, with costs that the state may not show yet."""
    state = places.state
    return candidates_of(
        pods,
        state.nodes,
        lambda node: places.place(claim.policy, node, zone_key=claim.zone_key),
        places.order(claim.policy),
        related=related_pods(replicaset, state.siblings_of(replicaset), state.pods_of),
        replaced=replaced_pod(replicaset.surge),
        zone_weights=zone_weights,
    )
