"""The rule of taints and tolerations (the scheduler's TaintToleration).

Contract: every taint with the effect NoSchedule or NoExecute keeps a pod off that does not tolerate it, also one that a
node has only for a while: until its cloud has initialised it, under pressure, or when it is about to leave. Spillway
adds tolerations for lasting taints alone (`lasting_taints`): nothing may tolerate the others on a pod's behalf.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from spillway.domain.fit.rule import NodeTest
from spillway.domain.model.documents import Json
from spillway.domain.model.names import CANDIDATE_TAINT, REMOVAL_TAINTS
from spillway.domain.model.records import NodeRecord, Taint

Toleration = Mapping[str, Any]

UNTOLERATED: Final = "whose taints the pod tolerates"

_PASSING: Final = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/", "karpenter.sh/")
_LEAVING: Final = REMOVAL_TAINTS | {CANDIDATE_TAINT}
INITIALISING: Final[Toleration] = {"key": "node.cloudprovider.kubernetes.io/uninitialized", "operator": "Exists"}
"""The taint of a node that its cloud is about to initialise, which takes pods in a moment."""
_HARD: Final = frozenset({"NoSchedule", "NoExecute"})


def taint_toleration(spec: Json) -> NodeTest:
    """The test that refuses nodes with a taint that the pod does not tolerate."""
    held: Sequence[Toleration] = spec.get("tolerations") or ()

    def test(node: NodeRecord) -> str:
        for taint in node.taints:
            if taint.effect in _HARD and not any(tolerates(one, taint) for one in held):
                return f"without the taint {taint.key}" if _passes(taint) else UNTOLERATED
        return ""

    return test


def lasting_taints(node: NodeRecord) -> tuple[Taint, ...]:
    """The taints that keep a pod off this node for good unless it tolerates them."""
    return tuple(taint for taint in hard_taints(node) if not _passes(taint))


def hard_taints(node: NodeRecord) -> tuple[Taint, ...]:
    """The taints that keep a pod off this node now unless it tolerates them."""
    return tuple(taint for taint in node.taints if taint.effect in _HARD)


def is_initialising(node: NodeRecord) -> bool:
    """Whether the node waits for its cloud to initialise it."""
    return any(taint.key == INITIALISING["key"] and taint.effect in _HARD for taint in node.taints)


def _passes(taint: Taint) -> bool:
    return taint.key.startswith(_PASSING) or taint.key in _LEAVING


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
