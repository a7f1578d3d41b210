"""The rule of taints and tolerations (the scheduler's TaintToleration).

Contract: only taints that keep a pod off a node for good count. Those that a node has while something is wrong with it,
or while it is leaving, do not: the node is then not ready or not open, which is looked at by itself.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from spillway.domain.fit.rule import NodeTest
from spillway.domain.model.documents import Json
from spillway.domain.model.records import NodeRecord, Taint

Toleration = Mapping[str, Any]

UNTOLERATED: Final = "whose taints the pod tolerates"

_PASSING: Final = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/", "karpenter.sh/")
_LEAVING: Final = frozenset({"ToBeDeletedByClusterAutoscaler", "DeletionCandidateOfClusterAutoscaler"})
_HARD: Final = frozenset({"NoSchedule", "NoExecute"})


def taint_toleration(spec: Json) -> NodeTest:
    """Refuses nodes with a taint that the pod does not tolerate."""
    held: Sequence[Toleration] = spec.get("tolerations") or ()

    def test(node: NodeRecord) -> str:
        tolerated = all(any(tolerates(one, taint) for one in held) for taint in hard_taints(node))
        return "" if tolerated else UNTOLERATED

    return test


def hard_taints(node: NodeRecord) -> tuple[Taint, ...]:
    """The taints that keep a pod off this node for good unless it tolerates them."""
    return tuple(
        taint
        for taint in node.taints
        if taint.effect in _HARD and not taint.key.startswith(_PASSING) and taint.key not in _LEAVING
    )


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    """As the scheduler compares (`ToleratesTaint` of k8s.io/api/core/v1); what it compares by number is not known."""
    if toleration.get("effect") and toleration["effect"] != taint.effect:
        return False
    if toleration.get("key") and toleration["key"] != taint.key:
        return False
    operator = toleration.get("operator") or "Equal"
    if operator == "Exists":
        return True
    return operator == "Equal" and bool(toleration.get("key")) and (toleration.get("value") or "") == taint.value
