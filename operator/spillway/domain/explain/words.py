"""The sentences of `spillway explain`: why a pod is where it is, and what would change that.

Contract: pure. A sentence states a fact of the snapshot or a rule of Spillway or Kubernetes; what was decided in the
past and is not recorded is not guessed.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from spillway.api.elasticpolicy import Placement
from spillway.domain.explain.answers import PlannedMove
from spillway.domain.model.names import AVOIDED_TAINTS, ELASTIC_TAINT, EMPTYING_TAINT, HOT_TAINT, Tier
from spillway.domain.model.places import Claim
from spillway.domain.model.records import NodeRecord, PodRecord, Taint
from spillway.domain.placement.decide import PlacementReason
from spillway.domain.scale_down.candidates import Candidate
from spillway.domain.scale_down.kubernetes_order import READY_CLASS, kubernetes_class
from spillway.domain.threshold.basis import Basis
from spillway.domain.threshold.effective import EffectiveThreshold, ThresholdReason

_SOURCES: Final = {
    ThresholdReason.ANNOTATION: "the workload's annotation spillway.dev/threshold says so",
    ThresholdReason.MANUAL: "the policy says so (mode Manual)",
    ThresholdReason.AUTO: "the plan over all workloads says so (mode Auto)",
    ThresholdReason.LEARNING_HISTORY: "mode Auto has no plan for it yet: it has less than two days of history",
    ThresholdReason.NOT_PLANNED: "mode Auto plans no workload without ReplicaSets",
    ThresholdReason.NO_THRESHOLD: "its class has no threshold",
}
_MODES: Final[Mapping[str, str]] = {
    "Never": "Its class keeps off virtual nodes (placement.virtual is Never).",
    "Always": "Its class goes to virtual nodes first, and to physical ones where no pool takes a pod "
    "(placement.virtual is Always).",
}
_DECISIONS: Final = {
    PlacementReason.NEVER: "its class keeps off virtual nodes",
    PlacementReason.BELOW_THRESHOLD: "fewer pods than the threshold are on physical nodes",
    PlacementReason.LEARNING_HISTORY: "mode Auto has no plan for the workload yet",
    PlacementReason.NOT_PLANNED: "mode Auto plans no workload without ReplicaSets",
    PlacementReason.NO_THRESHOLD: "its class has no threshold",
    PlacementReason.UNSUITABLE: "virtual nodes cannot run it",
    PlacementReason.NO_POOL: "no pool takes it",
    PlacementReason.REPLACED: "the pod before it was replaced for these nodes",
    PlacementReason.BEYOND_THRESHOLD: "as many pods as the threshold are on physical nodes already",
    PlacementReason.ALWAYS: "its class goes to virtual nodes first",
}
_NOTHING_KEPT: Final = "nothing keeps its pods on physical nodes or sends them to virtual ones"
_TAINTS: Final = {
    ELASTIC_TAINT: "pods prefer fixed nodes to this elastic one",
    HOT_TAINT: "its real load is above the limit of a ZonalBalance, so new pods prefer other nodes",
    EMPTYING_TAINT: "it is being emptied by moves, so new pods prefer other nodes",
}
_BASES: Final = {
    Basis.FORECAST: "The plan assumes a forecast of the coming day: its loss{loss} was lower.",
    Basis.PAST_DAYS: "The plan assumes the usual day of the history: the loss of forecasts{loss} was not lower.",
    Basis.SHORT_HISTORY: (
        "The plan assumes the usual day of the history, which is too short to compare it with forecasts."
    ),
    Basis.STALE_HISTORY: (
        "The plan assumes the usual day of the history, which ended too long before the plan for a forecast."
    ),
}


def basis_sentence(basis: str, loss_percent: int | None) -> str | None:
    """What the plan assumes of the coming day, and why; None for a basis that this version does not know."""
    if basis not in set(Basis):
        return None
    loss = "" if loss_percent is None else f" on the last days ({loss_percent} % of that of the usual day)"
    return _BASES[Basis(basis)].format(loss=loss)


def zones_unknown_sentence(balance: str) -> str:
    """What is said of ranks that do not go by the load of the workload by zone."""
    return (
        f"ZonalBalance/{balance} compares the load of this workload in its zones, which is not known here: the "
        "operator may delete a pod of another zone first, within maxSkew."
    )


def placement_sentence(claim: Claim | None, placement: Placement | None, threshold: EffectiveThreshold | None) -> str:
    """What is kept on physical nodes, and who says so; or why Spillway keeps nothing anywhere.

    `placement` and `threshold` are None where the class of the claim places no pods.
    """
    if claim is None:
        return f"No policy governs its workload, so {_NOTHING_KEPT}."
    if placement is not None and placement.virtual in _MODES:
        return _MODES[placement.virtual]
    if placement is None or threshold is None:
        return (
            f"The class {claim.workload_class} of the policy {claim.policy} has neither threshold nor placement, so "
            f"{_NOTHING_KEPT}."
        )
    kept = "All replicas are" if threshold.replicas is None else f"{threshold.replicas} replicas are"
    return f"{kept} kept on physical nodes: {_SOURCES[threshold.reason]}."


def decision_clause(reason: PlacementReason, because: str) -> str:
    """Why a pod is decided as it is, with what the planner adds to it."""
    return f"{_DECISIONS[reason]}: {because}" if because else _DECISIONS[reason]


def taint_meaning(taint: Taint) -> str | None:
    """What Spillway means by a taint; None for another client's."""
    return _TAINTS.get(taint.key)


def pod_reasons(
    pod: PodRecord,
    node: NodeRecord | None,
    tier: Tier | None,
    pool: str,
    *,
    placement: str,
    pools: str,
    move: PlannedMove | None = None,
) -> Iterator[str]:
    """Why a pod is where it is. `placement` and `pools` are Spillway's marks on it, empty without one.

    `move` is the one that planned a node for it.
    """
    if node is None:
        yield _unbound(pod)
    if placement == "virtual":
        yield f"When it was created it was decided for virtual nodes, for these pools in this order: {pools}."
    elif placement == "physical":
        yield "When it was created it was decided for physical nodes."
    elif move is None:
        yield (
            "It has no annotation spillway.dev/placement: it was created before a policy placed its workload, or no "
            "replica of the operator answered in time, so the scheduler alone chose."
        )
    if tier is Tier.VIRTUAL and placement == "physical":
        yield "It found no room on physical nodes for as long as spillAfter, so it was allowed to go to virtual nodes."
    if move is not None:
        yield _planned(move, node)
    elif node is not None and tier is not Tier.VIRTUAL:
        yield "Among physical nodes the scheduler chose this one; a soft taint makes it prefer fixed to elastic nodes."
    if node is not None and not node.ready:
        yield f"Its node {node.name} is not ready."
    if node is not None and tier is Tier.VIRTUAL and pool:
        yield f"The pool {pool} was the first of these whose node the scheduler found suitable."


def _planned(move: PlannedMove, node: NodeRecord | None) -> str:
    if not move.resource:
        # A template may prefer a node as a move does.
        return f"It prefers the node {move.node} to all others, as the additional replica of a move does."
    began = f"It was created as the additional replica of a move for {move.resource.replace('/', ' ')}"
    if node is None or node.name == move.node:
        return f"{began}, which planned the node {move.node}: the pod prefers that node to all others."
    return (
        f"{began}, which planned the node {move.node}; the scheduler found another one more suitable, or no room there."
    )


def _unbound(pod: PodRecord) -> str:
    waiting = pod.pending
    if waiting is None:
        return "It is on no node."
    if waiting.gated:
        return "It is on no node: a scheduling gate holds it."
    said = ": ".join(filter(None, (waiting.reason, waiting.message)))
    return f"It is on no node yet{f' ({said})' if said else ''}."


def pod_changes(
    claim: Claim | None,
    tier: Tier | None,
    threshold: EffectiveThreshold | None,
    *,
    replicas: int,
    placement: Placement | None,
) -> Iterator[str]:
    """What would change where a governed pod is; `tier` is None where it has no node.

    `placement` is that of its class, None where the class places no pods.
    """
    if claim is None:
        yield (
            "Spillway changes nothing here, because no policy governs the workload. Create an ElasticPolicy that "
            "selects it."
        )
        return
    if not claim.enforced:
        yield f"The policy {claim.policy} is in mode Recommend and changes nothing; mode Enforce would."
    if threshold is None or placement is None:
        return
    if placement.virtual != "Overflow":
        yield "With placement.virtual Overflow in its class, its threshold would decide."
        return
    if tier is None:
        yield f"Once it has found no room for {placement.spill_after}, it may go to virtual nodes that take it."
    if tier is Tier.VIRTUAL:
        yield (
            f"A threshold of {replicas} or more keeps all replicas on physical nodes, if these have room "
            "(the annotation spillway.dev/threshold on the workload)."
        )
        if placement.bring_back:
            yield (
                "A virtual replica is brought back once fewer replicas than the threshold are on physical nodes and "
                "these have had room for long enough."
            )
    elif threshold.replicas is not None:
        yield f"A threshold below {threshold.replicas} sends more of the next pods to virtual nodes; running pods stay."


def rank_changes(rank: int, pods: int, decided_by: str) -> str:
    """At which scale-down a pod goes."""
    left = pods - rank
    goes = f"It is deleted when its owner is scaled to {left} replicas{' or fewer' if left else ''}"
    if decided_by == "OtherClient":
        return f"{goes}, if the other client does not change the costs. Remove its costs, and Spillway decides."
    if decided_by == "Kubernetes":
        return f"{goes}, if nothing about these pods changes before."
    return f"{goes}. A pod that is not ready by then goes before it."


def kubernetes_clause(candidate: Candidate) -> str:
    """Which of Kubernetes' own rules matter for a pod."""
    if kubernetes_class(candidate) < READY_CLASS:
        return "it is not ready, and Kubernetes deletes such pods first"
    return (
        f"Kubernetes compares deletion costs (this pod: {candidate.deletion_cost}), then pods of the workload on the "
        f"node ({candidate.same_node_owner_pods}), then the time since it became ready, restarts and age"
    )


def node_changes(node: NodeRecord, *, staying: int, elastic: bool, emptied: int | None) -> Iterator[str]:
    """What would change a node."""
    if node.cordoned_by:
        yield f"`kubectl spillway uncordon {node.cordoned_by}` opens it with its pool."
    elif node.unschedulable:
        yield "Another client made it unschedulable, so Spillway does not open it: `kubectl uncordon` does."
    if elastic and staying:
        yield (
            f"{staying} of its pods are deleted by no scale-down, so it empties last. Govern their workloads by a "
            "policy, or run them elsewhere."
        )
    elif elastic and emptied == 1:
        yield "The next scale-downs empty it; then a node autoscaler can remove it."
    if any(taint.key in AVOIDED_TAINTS for taint in node.taints):
        yield "Spillway removes its soft taints once their cause is gone."
