"""The answer about one pod."""

from collections.abc import Mapping

from spillway.app.explain.ranking import ranking
from spillway.app.explain.snapshot import Snapshot, governed
from spillway.domain.budget.price import billed
from spillway.domain.explain.answers import PlannedMove, PodAnswer, Price, Rank
from spillway.domain.explain.prices import node_price_of, physical_price, virtual_price
from spillway.domain.explain.words import placement_sentence, pod_changes, pod_reasons, rank_changes
from spillway.domain.model.names import PLACEMENT, POOLS, Tier
from spillway.domain.model.owners import workload_of
from spillway.domain.model.places import Claim, NodePlace
from spillway.domain.model.records import NodeRecord, OwnerRecord, PodRecord, ReplicaSetRecord
from spillway.domain.threshold.effective import EffectiveThreshold, ThresholdReason, effective


def explain_pod(
    snapshot: Snapshot, pod: PodRecord, marks: Mapping[str, str], move: PlannedMove | None = None
) -> PodAnswer:
    """Where a pod is and why, its rank, its price, and what would change it.

    `marks` are its annotations, and `move` is the one that planned a node for it.
    """
    state = snapshot.world.state
    owner, claim = state.owner(pod.owner_uid), snapshot.claim_of(pod)
    node = state.nodes.get(pod.node)
    place = None if node is None else snapshot.place_of(node, claim)
    tier, pool = (None, "") if place is None else (place.tier, place.pool)
    threshold = None if claim is None else threshold_of(snapshot, owner, claim)
    rank = None if owner is None or not pod.active else _rank(snapshot, pod, owner)
    placed, pools = marks.get(PLACEMENT, ""), marks.get(POOLS, "")
    why = list(pod_reasons(pod, node, tier, pool, placement=placed, pools=pools, move=move))
    placing = snapshot.world.governance.placing_class(claim)
    placement = None if placing is None else placing.effective_placement
    why.append(placement_sentence(claim, placement, threshold))
    changes = list(
        pod_changes(
            claim,
            tier,
            threshold,
            replicas=0 if owner is None else owner.replicas,
            placement=placement,
        )
    )
    if rank is not None:
        changes.append(rank_changes(rank.rank, rank.pods, rank.decided_by))
    return PodAnswer(
        pod=pod.key,
        workload=snapshot.workload_of(pod),
        governed=governed(claim),
        phase="Terminating" if pod.terminating else pod.phase.value,
        ready=pod.ready,
        node=pod.node or None,
        tier=None if tier is None else tier.value,
        pool=pool or None,
        zone=None if place is None else place.zone or None,
        move=move,
        why=tuple(why),
        scale_down=rank,
        price=None if node is None or place is None else price_of(snapshot, pod, node, place, claim),
        changes=tuple(changes),
    )


def threshold_of(snapshot: Snapshot, owner: OwnerRecord | None, claim: Claim) -> EffectiveThreshold | None:
    """The threshold of a workload; None where its class places no pods. Owners that are not followed have no number."""
    placing = snapshot.world.governance.placing_class(claim)
    if placing is None:
        return None
    if owner is None:
        return EffectiveThreshold(None, ThresholdReason.NO_THRESHOLD)
    planned = isinstance(owner, ReplicaSetRecord)
    auto = snapshot.world.board.thresholds.get(workload_of(owner).key) if planned else None
    return effective(placing.threshold, owner.threshold, auto, planned=planned)


def price_of(
    snapshot: Snapshot, pod: PodRecord, node: NodeRecord, place: NodePlace, claim: Claim | None
) -> Price | None:
    """The price of a running pod; None where its node has none."""
    governance = snapshot.world.governance
    if place.tier is Tier.VIRTUAL:
        budget = governance.budgets.get(place.pool)
        if budget is None or budget.spec.price is None:
            return None
        size = snapshot.world.membership.size_of(pod)
        return virtual_price(budget.spec.price, billed(pod.requests, size, governance.ladder(place.pool)))
    policy = None if claim is None else governance.policies.get(claim.policy)
    price = None if policy is None else node_price_of(policy.spec, place.tier)
    return None if price is None else physical_price(price, pod.requests, node, place.tier)


def _rank(snapshot: Snapshot, pod: PodRecord, owner: OwnerRecord) -> Rank | None:
    return next((one.rank for one in ranking(snapshot, owner) if one.pod == pod.key), None)
