"""The rank of every pod of an owner in its next scale-down, by the plan that the webhook would make.

Contract: the planner is that of the webhook on ReplicaSets, whose plan for n victims is the beginning of its plan for
more; so the first n of the ranking are those that a scale-down by n deletes, as long as nothing about the pods changes.
Where Spillway does not decide, the order is Kubernetes' own.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from spillway.api.elasticpolicy import PolicyMode
from spillway.app.explain.snapshot import Snapshot
from spillway.domain.explain.answers import Rank, RankedPod
from spillway.domain.explain.words import kubernetes_clause
from spillway.domain.model.names import ZONE_LABEL, PodUid
from spillway.domain.model.owners import workload_key, workload_of
from spillway.domain.model.places import UNKNOWN, Claim
from spillway.domain.model.records import OwnerRecord, PodRecord, ReplicaSetRecord, StatefulSetRecord
from spillway.domain.scale_down.candidates import Candidate
from spillway.domain.scale_down.kubernetes_order import kubernetes_order
from spillway.domain.scale_down.reasons import because
from spillway.state.scale_down_candidates import scale_down_candidates
from spillway.webhooks.scale_down import ScaleDown, plan_request

SPILLWAY: Final = "Spillway"
KUBERNETES: Final = "Kubernetes"
OTHER_CLIENT: Final = "OtherClient"
ORDINAL: Final = "Ordinal"
_UNGOVERNED: Final = Claim("", "", PolicyMode.RECOMMEND, 1, ZONE_LABEL)
"""A claim of no policy, for which every node is fixed."""


def ranking(snapshot: Snapshot, owner: OwnerRecord) -> Sequence[RankedPod]:
    """The active pods of an owner, the first victim first."""
    claim = snapshot.world.claim_of(owner)
    if isinstance(owner, StatefulSetRecord):
        ranks: Iterable[tuple[PodUid, Rank]] = _by_ordinal(snapshot, owner)
    else:
        ranks = _of_replicaset(snapshot, owner, claim)
    pods = snapshot.world.state.pods
    return [_ranked(snapshot, pods[uid], claim, rank) for uid, rank in ranks]


def _of_replicaset(snapshot: Snapshot, owner: ReplicaSetRecord, claim: Claim | None) -> list[tuple[PodUid, Rank]]:
    world = snapshot.world
    now, key = world.now(), workload_key(owner.kind, owner.namespace, owner.name)
    if claim is not None:
        plan = plan_request(
            world.places,
            claim,
            owner,
            old_replicas=owner.replicas,
            new_replicas=0,
            scale_in=False,
            unseen={},
            now=now,
            zone_weights=world.board.zone_weights(claim.balance, owner.namespace, workload_of(owner).name),
        )
        ours = _by_plan(plan, key)
        if claim.enforced and not plan.foreign:
            return ours
        decided_by = OTHER_CLIENT if plan.foreign else KUBERNETES
        planned = {uid: rank.rank for uid, rank in ours}
        theirs = _by_kubernetes(list(plan.candidates.values()), key, decided_by, now)
        return [(uid, msgspec.structs.replace(rank, planned=planned[uid])) for uid, rank in theirs]
    candidates = scale_down_candidates(world.places, owner, _UNGOVERNED, snapshot.world.state.active_pods_of(owner.uid))
    return _by_kubernetes(candidates, key, KUBERNETES, now)


def _by_plan(plan: ScaleDown, key: str) -> list[tuple[PodUid, Rank]]:
    victims = {one.uid for one in plan.victims}
    # Pods beyond what the owner wants are being deleted already.
    surplus = [one for uid, one in plan.candidates.items() if uid not in victims]
    first = [(one.uid, "Surplus", "its owner wants fewer pods already") for one in kubernetes_order(surplus)]
    then = [(one.uid, one.reason.value, because(one.reason, plan.candidates[one.uid])) for one in plan.victims]
    return _numbered([*first, *then], key, SPILLWAY)


def _by_kubernetes(candidates: Sequence[Candidate], key: str, decided_by: str, now: float) -> list[tuple[PodUid, Rank]]:
    order = kubernetes_order(candidates, now=now)
    return _numbered([(one.uid, "KubernetesOrder", kubernetes_clause(one)) for one in order], key, decided_by)


def _by_ordinal(snapshot: Snapshot, owner: StatefulSetRecord) -> list[tuple[PodUid, Rank]]:
    def position(pod: PodRecord) -> int:
        found = owner.position(pod.name)
        return -1 if found is None else found

    pods = sorted(snapshot.world.state.active_pods_of(owner.uid), key=position, reverse=True)
    clause = "a StatefulSet deletes the highest ordinal first, whatever deletion costs say"
    key = workload_key(owner.kind, owner.namespace, owner.name)
    return _numbered([(one.uid, "HighestOrdinal", clause) for one in pods], key, ORDINAL)


def _numbered(pods: Sequence[tuple[PodUid, str, str]], owner: str, decided_by: str) -> list[tuple[PodUid, Rank]]:
    return [
        (uid, Rank(index, len(pods), owner, decided_by, reason, clause))
        for index, (uid, reason, clause) in enumerate(pods, start=1)
    ]


def _ranked(snapshot: Snapshot, pod: PodRecord, claim: Claim | None, rank: Rank) -> RankedPod:
    node = snapshot.world.state.nodes.get(pod.node)
    place = UNKNOWN if node is None else snapshot.place_of(node, claim)
    return RankedPod(
        pod=pod.key,
        rank=rank,
        node=pod.node or None,
        tier=None if node is None else place.tier.value,
        pool=place.pool or None,
        zone=place.zone or None,
        ready=pod.ready,
    )
