"""The answer about one workload, with the placement of its next pod as admission would decide it now."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from spillway.api.elasticpolicy import WorkloadThreshold
from spillway.app.explain.pods import price_of, threshold_of
from spillway.app.explain.ranking import ranking
from spillway.app.explain.snapshot import Snapshot, governed, planned_threshold
from spillway.domain.budget.price import shown
from spillway.domain.explain.answers import NextPod, Price, ThresholdAnswer, WorkloadAnswer
from spillway.domain.explain.words import basis_sentence, decision_clause, placement_sentence, pod_changes
from spillway.domain.fit.container_defaults import NO_DEFAULTS, Defaults
from spillway.domain.fit.volume_reach import VolumeReach
from spillway.domain.model.documents import Json
from spillway.domain.model.names import Tier
from spillway.domain.model.owners import workload_of
from spillway.domain.model.places import Claim
from spillway.domain.model.records import OwnerRecord, ReplicaSetRecord, StatefulSetRecord
from spillway.domain.placement.plan import NewPod
from spillway.domain.threshold.effective import EffectiveThreshold, ThresholdReason


class NextTemplate(NamedTuple):
    """The next pod of an owner, and what is read for it."""

    pod: Json
    volumes: Sequence[VolumeReach] = ()
    defaults: Defaults = NO_DEFAULTS


def explain_workload(
    snapshot: Snapshot, owners: Sequence[OwnerRecord], template: NextTemplate | None
) -> WorkloadAnswer:
    """Where the pods of a workload are and why, and their ranks. `owners` are its ReplicaSets, the newest first."""
    newest = owners[0]
    claim = snapshot.world.claim_of(newest)
    threshold = None if claim is None else threshold_of(snapshot, newest, claim)
    ranked = [one for owner in owners for one in ranking(snapshot, owner)]
    tiers = Counter(one.tier for one in ranked)
    placing = snapshot.world.governance.placing_class(claim)
    placement = None if placing is None else placing.effective_placement
    replicas = sum(owner.replicas for owner in owners)
    planned = None
    if threshold is not None and threshold.reason is ThresholdReason.AUTO:
        planned = planned_threshold(snapshot, workload_of(newest).key)
    why = [placement_sentence(claim, placement, threshold)]
    if planned is not None and (assumed := basis_sentence(planned.basis, planned.forecast_loss_percent)):
        why.append(assumed)
    return WorkloadAnswer(
        workload=workload_of(newest).key,
        governed=governed(claim),
        replicas=replicas,
        on_fixed=tiers[Tier.FIXED.value],
        on_elastic=tiers[Tier.ELASTIC.value],
        on_virtual=tiers[Tier.VIRTUAL.value],
        on_no_node=tiers[None],
        threshold=None if threshold is None else _threshold(threshold, planned),
        next_pod=None if claim is None or template is None else next_pod(snapshot, newest, claim, template),
        why=tuple(why),
        price=_sums(snapshot, owners, claim),
        scale_down=tuple(ranked),
        changes=tuple(
            pod_changes(
                claim,
                Tier.VIRTUAL if tiers[Tier.VIRTUAL.value] else Tier.FIXED,
                threshold,
                replicas=replicas,
                placement=placement,
            )
        ),
    )


def _threshold(threshold: EffectiveThreshold, planned: WorkloadThreshold | None) -> ThresholdAnswer:
    return ThresholdAnswer(
        threshold.replicas,
        threshold.reason.value,
        threshold.problem or None,
        None if planned is None else planned.basis or None,
        None if planned is None else planned.forecast_loss_percent,
    )


def next_pod(snapshot: Snapshot, owner: OwnerRecord, claim: Claim, template: NextTemplate) -> NextPod | None:
    """Where the owner's next pod would go; None where its class places no pods. Nothing is reserved."""
    placing = snapshot.world.governance.placing_class(claim)
    if placing is None:
        return None
    new = new_pod(snapshot, owner, claim, template.pod)
    placed = snapshot.placer.place(new, template.volumes, defaults=template.defaults, act=False)
    decision = placed.decision
    because = decision_clause(decision.reason, placed.because)
    return NextPod(decision.nodes.value, decision.reason.value, placed.pools, because)


def new_pod(snapshot: Snapshot, owner: OwnerRecord, claim: Claim, pod: Json) -> NewPod:
    """The next pod of an owner whose class places pods, as the webhook sees it."""
    placing = snapshot.world.governance.placing_class(claim)
    if placing is None:
        raise ValueError("the class places no pods")
    return NewPod(
        pod,
        owner.uid,
        workload_of(owner).key,
        claim,
        placing,
        annotation=owner.threshold,
        planned=isinstance(owner, ReplicaSetRecord),
        position=owner.replicas if isinstance(owner, StatefulSetRecord) else None,
    )


def _sums(snapshot: Snapshot, owners: Sequence[OwnerRecord], claim: Claim | None) -> tuple[Price, ...]:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    counted: Counter[str] = Counter()
    nodes = snapshot.world.state.nodes
    for owner in owners:
        for pod in snapshot.world.state.active_pods_of(owner.uid):
            node = nodes.get(pod.node)
            found = None if node is None else price_of(snapshot, pod, node, snapshot.place_of(node, claim), claim)
            if found is not None:
                sums[found.currency or ""] += Decimal(found.per_hour)
                counted[found.currency or ""] += 1
    return tuple(
        Price(shown(amount), currency or None, f"the sum of the {counted[currency]} running pods with a known price")
        for currency, amount in sorted(sums.items())
    )
